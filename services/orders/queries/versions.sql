-- The states of orders. The version alone isn't enough: after a restore another state may have it.
SELECT o.id, o.standing
FROM unnest($1::uuid[]) AS k (id)
CROSS JOIN LATERAL (
    SELECT id, (version, state, reason)::text AS standing FROM current_orders AS c WHERE c.id = k.id LIMIT 1
) AS o
