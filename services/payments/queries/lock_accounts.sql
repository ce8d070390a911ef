-- Locked in one order by everyone.
SELECT customer_id, currency, balance_minor, closed_at IS NOT NULL AS closed
FROM accounts
WHERE customer_id = ANY($1)
ORDER BY customer_id
FOR UPDATE
