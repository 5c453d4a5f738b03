-- Database `telecom`: five tables in three schemas, captured by examples/telecom-postgres.

CREATE DATABASE telecom;
\connect telecom

CREATE SCHEMA crm_schema;
CREATE SCHEMA billing_schema;
CREATE SCHEMA care_schema;

CREATE TABLE crm_schema.customer_profiles (
    customer_id       varchar(50) PRIMARY KEY,
    credit_score      integer,
    plan_type         varchar(50),
    monthly_spending  numeric(10,2),
    payment_method    varchar(50),
    avg_payment_delay integer,
    credit_limit      integer
);

CREATE TABLE crm_schema.device_information (
    device_id     serial PRIMARY KEY,
    customer_id   varchar(50) NOT NULL REFERENCES crm_schema.customer_profiles,
    imei          varchar(20),
    device_status varchar(50) NOT NULL DEFAULT 'active'
        CHECK (device_status IN ('active', 'inactive', 'lost', 'blacklisted'))
);

CREATE TABLE billing_schema.payment_transactions (
    transaction_id          serial PRIMARY KEY,
    customer_id             varchar(50) NOT NULL,
    wallet_balance          numeric(12,2),
    failed_payment_attempts integer NOT NULL DEFAULT 0
);

CREATE TABLE billing_schema.customer_behavior (
    behavior_id      serial PRIMARY KEY,
    customer_id      varchar(50) NOT NULL,
    churn_risk_score numeric(5,4),
    customer_segment varchar(50)
);

CREATE TABLE care_schema.complaints_feedback (
    complaint_id   serial PRIMARY KEY,
    customer_id    varchar(50) NOT NULL,
    complaint_type varchar(100),
    severity       varchar(20) CHECK (severity IN ('low', 'medium', 'high', 'critical'))
);

CREATE INDEX device_information_customer ON crm_schema.device_information (customer_id);
CREATE INDEX device_information_imei ON crm_schema.device_information (imei);
CREATE INDEX payment_transactions_customer ON billing_schema.payment_transactions (customer_id);
CREATE INDEX customer_behavior_customer ON billing_schema.customer_behavior (customer_id);
CREATE INDEX complaints_feedback_customer ON care_schema.complaints_feedback (customer_id);

-- A deleted row is written to the log whole, so that its record carries every column.
ALTER TABLE crm_schema.customer_profiles REPLICA IDENTITY FULL;
ALTER TABLE crm_schema.device_information REPLICA IDENTITY FULL;
ALTER TABLE billing_schema.payment_transactions REPLICA IDENTITY FULL;
ALTER TABLE billing_schema.customer_behavior REPLICA IDENTITY FULL;
ALTER TABLE care_schema.complaints_feedback REPLICA IDENTITY FULL;

-- Capture: connect, look into the schemas, read five tables. No more.
REVOKE CONNECT ON DATABASE telecom FROM PUBLIC;
GRANT CONNECT ON DATABASE telecom TO wasmgate;
GRANT USAGE ON SCHEMA crm_schema, billing_schema, care_schema TO wasmgate;
GRANT SELECT ON
    crm_schema.customer_profiles,
    crm_schema.device_information,
    billing_schema.payment_transactions,
    billing_schema.customer_behavior,
    care_schema.complaints_feedback
    TO wasmgate;

CREATE PUBLICATION telecom_pub FOR TABLE
    crm_schema.customer_profiles,
    crm_schema.device_information,
    billing_schema.payment_transactions,
    billing_schema.customer_behavior,
    care_schema.complaints_feedback;

INSERT INTO crm_schema.customer_profiles VALUES
    ('CUST001', 720, 'Premium', 180.50, 'credit_card', 2, 1500),
    ('CUST002', 540, 'Standard', 455.00, 'prepaid', 21, 800),
    ('CUST003', 610, 'Basic', 39.90, 'bank_transfer', 0, 500);
INSERT INTO crm_schema.device_information (customer_id, imei, device_status) VALUES
    ('CUST001', '356938035643809', 'active'),
    ('CUST002', '490154203237518', 'blacklisted');
INSERT INTO billing_schema.payment_transactions
    (customer_id, wallet_balance, failed_payment_attempts) VALUES
    ('CUST001', 250.00, 0),
    ('CUST002', -12.30, 4);
INSERT INTO billing_schema.customer_behavior
    (customer_id, churn_risk_score, customer_segment) VALUES
    ('CUST001', 0.1200, 'loyal'),
    ('CUST002', 0.8750, 'at_risk');
INSERT INTO care_schema.complaints_feedback (customer_id, complaint_type, severity) VALUES
    ('CUST002', 'billing_dispute', 'high');
