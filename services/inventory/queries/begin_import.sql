-- An import that is named again begins anew, unless a stream works on it; one that has shown no sign of life for $4
-- seconds isn't worked on. A repeat of this very statement finds its own run.
INSERT INTO imports AS i (id, run, started_by)
VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE
SET run = excluded.run, state = 'running', received = 0, created = 0, updated = 0, unchanged = 0, rejected = 0,
    started_by = excluded.started_by, created_at = now(), touched_at = now(), ended_at = NULL
WHERE i.state <> 'running' OR i.run = excluded.run OR i.touched_at < now() - make_interval(secs => $4)
RETURNING id
