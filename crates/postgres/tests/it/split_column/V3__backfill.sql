-- compatible-since: V1
-- The rows of before. The constraint fails where one was missed.
-- in batches: people
UPDATE people SET given_name = split_part(name, ' ', 1), family_name = substr(name, length(split_part(name, ' ', 1)) + 2)
WHERE given_name IS NULL;
ALTER TABLE people VALIDATE CONSTRAINT people_names;
