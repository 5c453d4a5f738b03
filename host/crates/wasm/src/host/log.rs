//! Interface `log`: lines of modules go to the gateway's log, few and harmless. A module that logs
//! per record must not fill disks, and what it logs must not draw on terminals.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::bindings::log::{Host, Level};
use crate::host::GuestContext;

/// Lines of one version of a module in [`WINDOW`], all its instances together; more are counted
/// and dropped.
const LINES_MAX: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);
/// Bytes of one line.
pub(crate) const LINE_BYTES_MAX: usize = 1024;

/// How many lines a module may still log. Its instances share one: a module that traps gets a new
/// instance, and must not get a new budget with it.
#[derive(Debug, Default)]
pub(crate) struct LogBudget(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    lines: u32,
    dropped: u64,
}

impl LogBudget {
    /// Takes a line from the budget: with how many were dropped since the last one that was
    /// logged, or `None` when it is to be dropped too.
    pub(crate) fn take(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            window.began = Some(now);
            window.lines = 0;
        }
        if window.lines >= LINES_MAX {
            window.dropped += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.dropped))
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

/// The text as one harmless line, cut to [`LINE_BYTES_MAX`].
pub(crate) fn one_line(text: &str) -> String {
    clip(text, LINE_BYTES_MAX)
}

/// At most `bytes` of a text of a guest, with spaces for what breaks lines, moves cursors or
/// reorders text.
pub(crate) fn clip(text: &str, bytes: usize) -> String {
    let cut = text.get(..text.floor_char_boundary(bytes)).unwrap_or(text);
    cut.chars().map(|c| if is_layout(c) { ' ' } else { c }).collect()
}

/// Control characters, line and paragraph separators, and the marks that change the direction of
/// text ("Trojan source").
fn is_layout(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_budget_are_counted_until_the_next_window() {
        let start = Instant::now();
        let budget = LogBudget::default();
        let logged = (0..LINES_MAX + 7).filter(|_| budget.take(start).is_some()).count();
        assert_eq!(logged, LINES_MAX as usize);
        assert_eq!(budget.take(start + WINDOW), Some(7));
        assert_eq!(budget.take(start + WINDOW), Some(0));
    }

    #[test]
    fn a_line_is_short_and_draws_nothing() {
        for (text, line) in [
            ("a\u{1b}[31m\nb", "a [31m b"),
            ("\u{9b}2J\r\u{7f}\0", " 2J   "),
            ("if admin\u{202e}\u{2066} // no", "if admin   // no"),
            ("one\u{2028}two\u{2029}", "one two "),
            ("żółć 🎈", "żółć 🎈"),
        ] {
            assert_eq!(one_line(text), line);
        }
        let long = "é".repeat(LINE_BYTES_MAX);
        assert_eq!(one_line(&long).len(), LINE_BYTES_MAX);
        assert_eq!(clip("aéé", 4), "aé");
    }
}
