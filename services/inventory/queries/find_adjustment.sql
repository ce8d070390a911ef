SELECT delta, reason, on_hand_after, reserved_after
FROM stock_adjustments
WHERE product_id = $1 AND request_id = $2
