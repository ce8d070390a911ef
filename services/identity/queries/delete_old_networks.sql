DELETE FROM known_networks
WHERE (user_id, network) IN (
    SELECT user_id, network FROM known_networks
    WHERE seen_at < clock_timestamp() - interval '90 days'
    LIMIT $1 FOR UPDATE SKIP LOCKED
)
