-- How an order's customer is told of it: step by step, or once, at its end. Decided with the first step that is heard of
-- while the flag is rolled out, and never again; orders without a row are told step by step.

CREATE TABLE order_notices (
    order_id uuid PRIMARY KEY,
    single   boolean NOT NULL
);

-- Refunds are few: their orders are found without reading all of a customer's deliveries.
CREATE INDEX deliveries_of_refunds ON deliveries (order_id) WHERE kind = 'payment_refunded';

DO $$
DECLARE
    service text := current_setting('flotilla.service');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT ON order_notices TO %I', service || '_system');
END
$$;
