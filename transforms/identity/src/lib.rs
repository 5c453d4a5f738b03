//! module identity
