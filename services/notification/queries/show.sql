-- $1: the customer; $2: after this sequence; $3: of these kinds; $4: but not these; $5: at most so many. What is found
-- counts as shown once more.
WITH due AS (
    SELECT d.id, d.sequence, d.kind, d.order_id, d.body, d.created_at
    FROM deliveries AS d
    LEFT JOIN shown AS s ON s.customer_id = d.customer_id AND s.sequence = d.sequence
    WHERE d.customer_id = $1 AND d.sequence > $2 AND s.acknowledged_at IS NULL
        AND d.kind = ANY ($3::text[]) AND NOT d.id = ANY ($4::uuid[])
    ORDER BY d.sequence
    LIMIT $5
), counted AS (
    INSERT INTO shown AS s (customer_id, sequence, attempts)
    SELECT $1, due.sequence, 1 FROM due
    ON CONFLICT (customer_id, sequence) DO UPDATE SET attempts = s.attempts + 1
    RETURNING s.sequence, s.attempts
)
SELECT due.id, due.sequence, due.kind, due.order_id, due.body, due.created_at, NULL::timestamptz AS acknowledged_at,
    counted.attempts
FROM due
JOIN counted ON counted.sequence = due.sequence
ORDER BY due.sequence
