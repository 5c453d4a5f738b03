#!/usr/bin/env bash
# Creates the topics of the examples, so that all of them exist before the first record, and so
# that brokers need not create topics by themselves. May be run again.
#
#   BOOTSTRAP=kafka-1:9092 REPLICATION=3 PARTITIONS=3 KAFKA_HOME=/opt/kafka create-topics.sh
set -euo pipefail

bootstrap=${BOOTSTRAP:-localhost:9092}
replication=${REPLICATION:-3}
partitions=${PARTITIONS:-3}
topics=${KAFKA_HOME:-/opt/kafka}/bin/kafka-topics.sh

create() { # NAME [CONFIG...]
  local name=$1 config=()
  shift
  for setting in "$@"; do config+=(--config "$setting"); done
  "$topics" --bootstrap-server "$bootstrap" --create --if-not-exists --topic "$name" \
    --partitions "$partitions" --replication-factor "$replication" "${config[@]}"
}

# Changes of tables: the last state of every key is kept.
for table in crm_schema.customer_profiles crm_schema.device_information \
  billing_schema.payment_transactions billing_schema.customer_behavior \
  care_schema.complaints_feedback; do
  create "telecom.$table" cleanup.policy=compact
done
create orders_db.public.orders cleanup.policy=compact

# Network records come in as JSON.
for kind in cdr sdr location network security service; do
  create "telecom-$kind"
done
create telecom-cdr-checked
create telecom-fraud-alerts

# Dead letters are kept for a month.
for name in orders.dlq telecom-tables-dlq telecom-cdr-dlq telecom-cdr-dlq-identifiers; do
  create "$name" retention.ms=2592000000
done

"$topics" --bootstrap-server "$bootstrap" --list
