//! The messages of the pgoutput plugin.
