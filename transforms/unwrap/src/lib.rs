//! module unwrap
