SELECT received, rejected
FROM imports
WHERE id = $1 AND run = $2 AND state = 'running'
FOR UPDATE
