SELECT customer_id FROM accounts WHERE customer_id = ANY($1)
