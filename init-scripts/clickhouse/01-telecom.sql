-- Where call records and fraud alerts go (examples/telecom-full), and the database of
-- examples/orders-clickhouse, whose tables the gateway makes. The row with the highest _version of a
-- key counts in FINAL reads. The window lets the server know an insert that is sent again.

CREATE DATABASE IF NOT EXISTS orders;

CREATE DATABASE IF NOT EXISTS telecom;

CREATE TABLE IF NOT EXISTS telecom.enriched_cdr
(
    call_id               String,
    customer_id           String,
    call_type             LowCardinality(String),
    call_start            DateTime64(3, 'UTC') DEFAULT now64(3),
    call_duration_seconds UInt32,
    monthly_call_duration Nullable(UInt32),
    plan_type             LowCardinality(Nullable(String)),
    monthly_spending      Nullable(Decimal(10, 2)),
    credit_score          Nullable(Int32),
    is_fraud              Bool,
    _version              UInt128,
    _is_deleted           UInt8
)
ENGINE = ReplacingMergeTree(_version, _is_deleted)
ORDER BY (customer_id, call_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS telecom.fraud_alerts
(
    call_id               String,
    customer_id           String,
    rule                  LowCardinality(String),
    monthly_spending      Decimal(10, 2),
    credit_score          Int32,
    monthly_call_duration UInt32,
    detected_at           DateTime64(3, 'UTC'),
    _version              UInt128,
    _is_deleted           UInt8
)
ENGINE = ReplacingMergeTree(_version, _is_deleted)
ORDER BY (rule, customer_id, call_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS telecom.fraud_alerts_of_cdr TO telecom.fraud_alerts AS
SELECT
    call_id,
    customer_id,
    'fraud_subscription' AS rule,
    assumeNotNull(monthly_spending) AS monthly_spending,
    assumeNotNull(credit_score) AS credit_score,
    assumeNotNull(monthly_call_duration) AS monthly_call_duration,
    now64(3) AS detected_at,
    _version,
    _is_deleted
FROM telecom.enriched_cdr
WHERE is_fraud;
