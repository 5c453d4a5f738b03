//! Rows to bytes: values, keys, headers.
