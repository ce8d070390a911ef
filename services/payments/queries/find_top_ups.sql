SELECT t.customer_id, t.request_id, t.amount_minor, t.currency
FROM unnest($1::uuid[], $2::text[]) AS asked (customer_id, request_id)
JOIN transfer_rows t ON t.customer_id = asked.customer_id AND t.request_id = asked.request_id
