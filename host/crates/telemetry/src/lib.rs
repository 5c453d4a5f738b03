//! F1: every metric and label name, once.
