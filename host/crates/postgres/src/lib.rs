//! F3: Postgres change capture.
