//! A real Postgres from found binaries.
