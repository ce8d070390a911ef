-- A stream that has shown no sign of life for $2 seconds has broken off, whatever became of its process.
SELECT i.id, i.received, i.created, i.updated, i.unchanged, i.rejected, i.created_at,
    CASE WHEN lost.so THEN 'broken_off' ELSE i.state END AS state,
    CASE WHEN lost.so THEN i.touched_at ELSE i.ended_at END AS ended_at
FROM imports i
CROSS JOIN LATERAL (
    SELECT i.state = 'running' AND i.touched_at < now() - make_interval(secs => $2) AS so) AS lost
WHERE i.id = $1
