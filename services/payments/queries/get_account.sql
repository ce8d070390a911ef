SELECT customer_id, currency, balance_minor, created_at FROM accounts WHERE customer_id = $1
