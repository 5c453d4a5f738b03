-- Database `sourcedb`: one table, captured by examples/orders.

CREATE DATABASE sourcedb;
\connect sourcedb

CREATE TABLE orders (
    order_id      serial PRIMARY KEY,
    customer_name varchar(255),
    product       varchar(255),
    quantity      integer,
    price         numeric(10,2),
    status        varchar(20),
    created_at    timestamp DEFAULT CURRENT_TIMESTAMP
);

-- The row before an update or a delete goes into the record's `before`.
ALTER TABLE orders REPLICA IDENTITY FULL;

REVOKE CONNECT ON DATABASE sourcedb FROM PUBLIC;
GRANT CONNECT ON DATABASE sourcedb TO wasmgate;
GRANT USAGE ON SCHEMA public TO wasmgate;
GRANT SELECT ON orders TO wasmgate;

CREATE PUBLICATION orders_pub FOR TABLE orders;

INSERT INTO orders (customer_name, product, quantity, price, status) VALUES
    ('Ada', 'keyboard', 1, 49.90, 'new'),
    ('Grace', 'monitor', 2, 310.00, 'paid');
