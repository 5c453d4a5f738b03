-- Where enriched call records and fraud alerts are to go. This version has no ClickHouse sink; the
-- tables show the shape: the row with the highest _version of a key counts in FINAL reads.

CREATE DATABASE IF NOT EXISTS telecom;

CREATE TABLE IF NOT EXISTS telecom.enriched_cdr
(
    call_id               String,
    customer_id           String,
    call_type             LowCardinality(String),
    call_start            DateTime64(3, 'UTC'),
    call_duration_seconds UInt32,
    monthly_call_duration Nullable(UInt32),
    plan_type             LowCardinality(Nullable(String)),
    monthly_spending      Nullable(Decimal(10, 2)),
    credit_score          Nullable(Int32),
    _version              UInt64,
    _is_deleted           UInt8
)
ENGINE = ReplacingMergeTree(_version, _is_deleted)
PARTITION BY toYYYYMM(call_start)
ORDER BY (customer_id, call_start, call_id);

CREATE TABLE IF NOT EXISTS telecom.fraud_alerts
(
    call_id               String,
    customer_id           String,
    rule                  LowCardinality(String),
    monthly_spending      Decimal(10, 2),
    credit_score          Int32,
    monthly_call_duration UInt32,
    detected_at           DateTime64(3, 'UTC'),
    _version              UInt64,
    _is_deleted           UInt8
)
ENGINE = ReplacingMergeTree(_version, _is_deleted)
ORDER BY (rule, customer_id, call_id);
