UPDATE imports
SET received = received + $2, created = created + $3, updated = updated + $4, unchanged = unchanged + $5,
    rejected = rejected + $6, touched_at = now()
WHERE id = $1
