//! module route
