SELECT current_database() AS database, pending, age AS seconds FROM outbox_backlog($1::integer)
