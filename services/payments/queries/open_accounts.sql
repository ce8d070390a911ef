INSERT INTO accounts (customer_id, currency)
SELECT customer_id, $2 FROM unnest($1::uuid[]) AS new (customer_id)
ON CONFLICT (customer_id) DO NOTHING
