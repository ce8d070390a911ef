-- compatible-since: V3
-- Contract, once no program writes `name` any more. The constraint that holds spares SET NOT NULL its scan.
DROP TRIGGER people_in_step ON people;
DROP FUNCTION people_in_step();
ALTER TABLE people ALTER COLUMN given_name SET NOT NULL, ALTER COLUMN family_name SET NOT NULL;
ALTER TABLE people DROP CONSTRAINT people_names, DROP COLUMN name;
