SELECT on_hand, reserved
FROM stock
WHERE product_id = $1
FOR UPDATE
