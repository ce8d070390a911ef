UPDATE charges
SET state = 'refunded', refund_transfer_id = new.transfer_id, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[]) AS new (order_id, transfer_id)
WHERE charges.order_id = new.order_id
