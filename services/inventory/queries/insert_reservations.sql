-- No ON CONFLICT, which writes another record of WAL for each row: if another transaction reserved for the same order first, this batch is run again and finds its
-- row. Ragged lines travel as one array literal a row: unnest would flatten arrays of arrays.
INSERT INTO reservations (order_id, state, product_ids, quantities, rejection, short_ids, expires_at)
SELECT n.order_id, n.state, n.product_ids::text[], n.quantities::bigint[], n.rejection, n.short_ids::text[],
       n.expires_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
    AS n (order_id, state, product_ids, quantities, rejection, short_ids, expires_at)
