DELETE FROM imports WHERE touched_at < now() - interval '90 days'
