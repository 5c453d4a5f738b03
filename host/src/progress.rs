//! Bars on a terminal: one for each table that is being copied, drawn from what the pipelines'
//! status says. Log lines go above them. Where standard error is no terminal, and where the log is
//! JSON, nothing is drawn: programs read the metrics.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;
use wasmgate_pipeline::{CopyStatus, Pipeline};

use crate::config::checked::LogFormat;

/// How often the bars are drawn anew.
const DRAW: Duration = Duration::from_millis(200);
const KNOWN: &str = "{prefix} {bar:24} {pos}/{len} rows, {percent} %, {msg}";
const UNKNOWN: &str = "{prefix} {spinner} {pos} rows";

/// The bars of the process; log lines and bars share one terminal.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Makes room for bars, where somebody sees them.
pub(crate) fn prepare(format: LogFormat) {
    if format == LogFormat::Text && io::stderr().is_terminal() {
        BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
    }
}

/// Where log lines go: to standard error, above the bars.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().lock().write_all(line);
        match BARS.get() {
            Some(bars) => bars.suspend(write)?,
            None => write()?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Draws until it is dropped; at once over where nobody sees it.
pub(crate) async fn draw(pipelines: Vec<Arc<Pipeline>>) {
    let Some(bars) = BARS.get() else { return };
    let mut drawn = Drawn { bars: bars.clone(), of: HashMap::new() };
    let mut tick = tokio::time::interval(DRAW);
    loop {
        tick.tick().await;
        for pipeline in &pipelines {
            let status = pipeline.status();
            status.copies.iter().for_each(|copy| drawn.show(&status.name, copy));
        }
    }
}

/// The bars of the tables that are not done.
struct Drawn {
    bars: MultiProgress,
    /// By pipeline and table.
    of: HashMap<(String, String), ProgressBar>,
}

impl Drawn {
    fn show(&mut self, pipeline: &str, copy: &CopyStatus) {
        let key = (pipeline.to_owned(), copy.table.clone());
        if copy.done {
            if let Some(bar) = self.of.remove(&key) {
                bar.finish_and_clear();
                self.bars.remove(&bar);
            }
            return;
        }
        let bar = self.of.entry(key).or_insert_with(|| {
            let bar = ProgressBar::hidden().with_prefix(format!("{pipeline} {}", copy.table));
            self.bars.add(bar)
        });
        let length = u64::try_from(copy.estimate).ok().filter(|rows| *rows > 0);
        let template = if length.is_some() { KNOWN } else { UNKNOWN };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if let Some(rows) = length {
            bar.set_length(rows.max(copy.rows));
        }
        bar.set_position(copy.rows);
        bar.set_message(match copy.remaining {
            Some(left) => format!("{} s left", left.as_secs()),
            None => String::new(),
        });
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.of.values().for_each(ProgressBar::finish_and_clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(rows: u64, estimate: i64, done: bool) -> CopyStatus {
        let (table, remaining) = ("public.t".to_owned(), Some(Duration::from_secs(7)));
        CopyStatus { table, rows, estimate, done, percent: None, remaining }
    }

    #[test]
    fn a_bar_follows_its_table_and_goes_with_it() {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut drawn = Drawn { bars, of: HashMap::new() };
        let place = |drawn: &Drawn| {
            drawn.of.values().map(|bar| (bar.position(), bar.length())).collect::<Vec<_>>()
        };
        drawn.show("p", &copy(5, 100, false));
        assert_eq!(place(&drawn), [(5, Some(100))]);
        drawn.show("p", &copy(150, 100, false));
        assert_eq!(place(&drawn), [(150, Some(150))], "an estimate that was too low");
        drawn.show("p", &copy(200, 100, true));
        assert_eq!(place(&drawn), []);
        drawn.show("p", &copy(200, 100, true));
        assert!(drawn.of.is_empty(), "what is done draws no bar");
    }
}
