-- One row without a posting tells an empty account from none.
SELECT p.transfer_id, p.amount_minor, p.currency, p.created_at, t.kind, t.order_id
FROM accounts a
LEFT JOIN LATERAL (
    SELECT transfer_id, amount_minor, currency, created_at
    FROM postings
    WHERE account = 'customer:' || $1::uuid::text AND transfer_id < $2
    ORDER BY transfer_id DESC
    LIMIT $3
) p ON true
LEFT JOIN transfers t ON t.id = p.transfer_id
WHERE a.customer_id = $1
ORDER BY p.transfer_id DESC
