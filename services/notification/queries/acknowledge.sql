UPDATE shown
SET acknowledged_at = now()
WHERE customer_id = $1 AND sequence = ANY ($2::bigint[]) AND acknowledged_at IS NULL
