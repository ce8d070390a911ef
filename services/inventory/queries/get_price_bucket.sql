SELECT revision FROM price_bucket WHERE created = $1
