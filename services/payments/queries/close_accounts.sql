-- Events have no order: an account that isn't open yet is opened closed, and stays so.
INSERT INTO accounts (customer_id, currency, closed_at)
SELECT customer_id, $2, now() FROM unnest($1::uuid[]) AS gone (customer_id)
ON CONFLICT (customer_id) DO UPDATE SET closed_at = coalesce(accounts.closed_at, excluded.closed_at)
