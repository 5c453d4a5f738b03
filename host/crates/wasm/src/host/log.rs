//! Interface `log`: lines of modules go to the gateway's log, few and harmless. A module that logs
//! per record must not fill disks, and what it logs must not draw on terminals.

use std::time::{Duration, Instant};

use crate::bindings::log::{Host, Level};
use crate::host::GuestContext;

/// Lines of one instance in [`WINDOW`]; more are counted and dropped.
const LINES_MAX: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);
/// Bytes of one line.
const LINE_BYTES_MAX: usize = 1024;

/// How many lines an instance may still log.
#[derive(Debug, Default)]
pub(crate) struct LogBudget {
    window: Option<Instant>,
    lines: u32,
    dropped: u64,
}

impl LogBudget {
    /// Takes a line from the budget: with how many were dropped since the last one that was
    /// logged, or `None` when it is to be dropped too.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.window.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            self.window = Some(now);
            self.lines = 0;
        }
        if self.lines >= LINES_MAX {
            self.dropped += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

impl Host for GuestContext {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let Some(dropped) = self.log.take(Instant::now()) else {
            return Ok(());
        };
        let text = one_line(&message);
        let (module, version) = (self.identity.name.as_str(), self.identity.version.as_str());
        match level {
            Level::Debug => tracing::debug!(module, version, text, dropped, "module says"),
            Level::Info => tracing::info!(module, version, text, dropped, "module says"),
            Level::Warn => tracing::warn!(module, version, text, dropped, "module says"),
            Level::Error => tracing::error!(module, version, text, dropped, "module says"),
        }
        Ok(())
    }
}

/// The text without control characters, cut to [`LINE_BYTES_MAX`].
pub(crate) fn one_line(text: &str) -> String {
    let cut = text.get(..text.floor_char_boundary(LINE_BYTES_MAX)).unwrap_or(text);
    cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_budget_are_counted_until_the_next_window() {
        let start = Instant::now();
        let mut budget = LogBudget::default();
        let logged = (0..LINES_MAX + 7).filter(|_| budget.take(start).is_some()).count();
        assert_eq!(logged, LINES_MAX as usize);
        assert_eq!(budget.take(start + WINDOW), Some(7));
        assert_eq!(budget.take(start + WINDOW), Some(0));
    }

    #[test]
    fn a_line_is_short_and_draws_nothing() {
        assert_eq!(one_line("a\u{1b}[31m\nb"), "a [31m b");
        let long = "é".repeat(LINE_BYTES_MAX);
        assert_eq!(one_line(&long).len(), LINE_BYTES_MAX);
    }
}
