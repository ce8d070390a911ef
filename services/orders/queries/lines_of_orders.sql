SELECT order_id, product_id, quantity FROM order_lines WHERE order_id = ANY ($1) ORDER BY order_id, product_id
