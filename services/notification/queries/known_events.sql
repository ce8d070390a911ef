-- Which of these events have deliveries already.
SELECT event_id FROM deliveries WHERE event_id = ANY ($1) AND channel = 'feed'
