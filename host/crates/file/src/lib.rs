//! F3: file source and sink, sample source, console and blackhole sinks.
