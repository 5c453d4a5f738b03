//! F1: bytes to columns and back, without I/O.
