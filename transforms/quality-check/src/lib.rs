//! module quality-check
