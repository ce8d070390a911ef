UPDATE accounts
SET balance_minor = new.balance_minor
FROM unnest($1::uuid[], $2::bigint[]) AS new (customer_id, balance_minor)
WHERE accounts.customer_id = new.customer_id
