//! More lines than a pipeline can take, and what came of them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::guests::{number, whole_lines};
use wasmgate_tests::http;

/// Lines that are written ahead of what came out.
const AHEAD: u64 = 20_000;
const STEP: u64 = 5_000;

/// Appends numbered lines to a file that a pipeline follows, and stays ahead of it.
pub(super) struct Feed {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Load>,
}

/// What was written.
pub(super) struct Load {
    pub(super) written: u64,
    /// The fewest lines that were still to be done whenever that was looked at.
    pub(super) least_ahead: u64,
}

impl Feed {
    pub(super) fn start(gateway: &Gateway, pipeline: &str, path: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let (address, route) =
            (gateway.address().to_owned(), format!("/api/v1/pipelines/{pipeline}"));
        let thread = std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            let mut load = Load { written: 0, least_ahead: u64::MAX };
            while !told.load(Ordering::Relaxed) {
                let status = http::json(&address, &route).unwrap();
                let ahead = load.written - status["records_out"].as_u64().unwrap();
                if load.written > 0 {
                    load.least_ahead = load.least_ahead.min(ahead);
                }
                if ahead < AHEAD {
                    let text: String = (load.written..load.written + STEP).map(line).collect();
                    file.write_all(text.as_bytes()).unwrap();
                    load.written += STEP;
                } else {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            }
            load
        });
        Self { stop, thread }
    }

    pub(super) fn finish(self) -> Load {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// One record.
pub(super) fn line(number: u64) -> String {
    format!("{{\"n\":{number},\"name\":\"ada\"}}\n")
}

/// One record as it arrived.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) number: u64,
    pub(super) version: u64,
    /// When its call was made.
    pub(super) at_us: u64,
}

/// Every whole line of an output.
pub(super) fn scan(path: &Path) -> Vec<Seen> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let seen = |line: &str| Seen {
        number: number(line, "n"),
        version: number(line, "version"),
        at_us: number(line, "at"),
    };
    whole_lines(&text).lines().map(seen).collect()
}
