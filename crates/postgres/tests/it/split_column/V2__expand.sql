-- compatible-since: V1
-- Expand: `given_name` and `family_name` take over from `name`. Short locks alone; the rows follow in the next migration.
ALTER TABLE people ADD COLUMN given_name text, ADD COLUMN family_name text;

-- Both forms stay in step, whoever writes: programs of the release before write `name`, newer ones its two parts. A row
-- that lacks the parts gets them with whatever else is changed in it, because the constraint below checks it again then.
CREATE FUNCTION people_in_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.given_name IS NULL OR (TG_OP = 'UPDATE' AND NEW.name <> OLD.name) THEN
        NEW.given_name := split_part(NEW.name, ' ', 1);
        NEW.family_name := substr(NEW.name, length(NEW.given_name) + 2);
    ELSE
        NEW.name := btrim(NEW.given_name || ' ' || NEW.family_name);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER people_in_step BEFORE INSERT OR UPDATE ON people
    FOR EACH ROW EXECUTE FUNCTION people_in_step();

ALTER TABLE people ADD CONSTRAINT people_names CHECK (given_name IS NOT NULL AND family_name IS NOT NULL) NOT VALID;
