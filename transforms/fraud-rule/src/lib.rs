//! module fraud-rule
