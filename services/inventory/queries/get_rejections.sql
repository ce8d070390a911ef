SELECT line, product_id, field, reason, description
FROM import_rejections
WHERE import_id = $1
ORDER BY line
