-- Batches touch a few rows of tables that grow: a plan made while they were small must not scan them for ever.
SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off
