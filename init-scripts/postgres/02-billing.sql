-- Database `billing`: the Postgres half of the large telecom system (its MySQL half is in
-- ../mysql). No pipeline of the examples reads it yet.

CREATE DATABASE billing;
\connect billing

CREATE TABLE payment_transactions (
    transaction_id   serial PRIMARY KEY,
    customer_id      varchar(50),
    transaction_date timestamp,
    amount           numeric(10,2),
    payment_method   varchar(50),
    status           varchar(20),
    created_at       timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE customer_behavior (
    behavior_id          serial PRIMARY KEY,
    customer_id          varchar(50),
    avg_session_duration integer,
    app_usage_hours      numeric(5,2),
    favorite_service     varchar(100),
    last_login           timestamp,
    created_at           timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE complaints_feedback (
    complaint_id   serial PRIMARY KEY,
    customer_id    varchar(50),
    complaint_type varchar(100),
    severity       varchar(20),
    status         varchar(50),
    created_at     timestamp DEFAULT CURRENT_TIMESTAMP,
    resolved_at    timestamp
);

CREATE INDEX payment_transactions_customer ON payment_transactions (customer_id);
CREATE INDEX customer_behavior_customer ON customer_behavior (customer_id);
CREATE INDEX complaints_feedback_customer ON complaints_feedback (customer_id);

ALTER TABLE payment_transactions REPLICA IDENTITY FULL;
ALTER TABLE customer_behavior REPLICA IDENTITY FULL;
ALTER TABLE complaints_feedback REPLICA IDENTITY FULL;

REVOKE CONNECT ON DATABASE billing FROM PUBLIC;
GRANT CONNECT ON DATABASE billing TO wasmgate;
GRANT USAGE ON SCHEMA public TO wasmgate;
GRANT SELECT ON payment_transactions, customer_behavior, complaints_feedback TO wasmgate;

CREATE PUBLICATION billing_pub
    FOR TABLE payment_transactions, customer_behavior, complaints_feedback;
