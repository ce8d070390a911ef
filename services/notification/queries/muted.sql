SELECT customer_id, muted_kinds
FROM preferences
WHERE customer_id = ANY ($1) AND muted_kinds <> '{}'
