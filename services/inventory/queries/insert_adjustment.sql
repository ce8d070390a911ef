INSERT INTO stock_adjustments (product_id, request_id, delta, reason, adjusted_by, on_hand_after, reserved_after)
VALUES ($1, $2, $3, $4, $5, $6, $7)
