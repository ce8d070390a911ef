-- $2, $3: sequences, and the deliveries that the client got with them. After a restore a sequence may belong to another
-- delivery, which stays open.
UPDATE shown AS s
SET acknowledged_at = now()
FROM unnest($2::bigint[], $3::uuid[]) AS a (sequence, id)
JOIN deliveries AS d ON d.customer_id = $1 AND d.sequence = a.sequence AND d.id = a.id
WHERE s.customer_id = $1 AND s.sequence = a.sequence AND s.acknowledged_at IS NULL
