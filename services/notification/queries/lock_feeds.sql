-- A statement of its own: the next one sees what was committed before the locks were granted.
SELECT lock_feeds($1)
