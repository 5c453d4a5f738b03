//! module dlq-decision
