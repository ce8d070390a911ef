SELECT count(*) FROM sagas WHERE due_at IS NOT NULL AND open AND attempt > $1
