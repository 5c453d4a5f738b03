//! The log, on standard error: standard output belongs to the console sink.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::checked::{Log, LogFormat, LogLevel};
use crate::progress::{self, Lines};

/// Starts to log. `RUST_LOG` wins over the configuration's level.
pub(crate) fn start(log: Log) {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    progress::prepare(log.format);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines);
    let ansi = std::io::stderr().is_terminal();
    match log.format {
        LogFormat::Text => builder.with_ansi(ansi).init(),
        LogFormat::Json => builder.json().init(),
    }
}
