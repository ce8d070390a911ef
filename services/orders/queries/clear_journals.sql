UPDATE sagas SET journal = '' WHERE order_id = ANY ($1)
