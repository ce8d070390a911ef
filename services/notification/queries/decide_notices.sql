-- $1, $2: orders and their customers; $3: whether the flag wants one notice; $4: whether the step is a refund. A step that
-- was told before the rollout began decides for its order: it goes on being told step by step. A refund is an order's
-- second step, so it alone looks for the first one among the customer's deliveries.
INSERT INTO order_notices (order_id, single)
SELECT o.order_id, o.single AND NOT CASE
    WHEN NOT o.single THEN false
    WHEN o.refund THEN EXISTS (
        SELECT 1 FROM deliveries AS d
        WHERE d.customer_id = o.customer_id AND d.order_id = o.order_id
            AND d.kind IN ('payment_charged', 'payment_declined')
    )
    ELSE EXISTS (SELECT 1 FROM deliveries AS d WHERE d.order_id = o.order_id AND d.kind = 'payment_refunded')
END
FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::boolean[]) AS o (order_id, customer_id, single, refund)
ORDER BY o.order_id
ON CONFLICT (order_id) DO NOTHING
