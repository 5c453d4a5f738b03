//! What a process used: wall time, processor time, the most memory it held. Read from `/proc`, so
//! that a process which goes on running can be measured, too.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::Problem;

/// Clock ticks of `/proc/PID/stat` per second: fixed in Linux's interface.
const TICKS: f64 = 100.0;
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(20);

/// What a process used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) wall_s: f64,
    /// User and system time of all its threads.
    pub(crate) cpu_s: f64,
    /// Most resident memory.
    pub(crate) peak_mib: f64,
}

impl Usage {
    /// One line for people; `records` were handled.
    pub(crate) fn print(&self, what: &str, records: u64) {
        let millions = records as f64 / 1e6;
        let (rate, per_million) = (records as f64 / self.wall_s, self.cpu_s / millions);
        println!(
            "  {what:<28} wall {:>6.2} s  {rate:>7.0} records/s  \
             cpu {:>6.2} s = {per_million:>5.2} s/M  peak {:>4.0} MiB",
            self.wall_s, self.cpu_s, self.peak_mib
        );
    }
}

/// The one with the least processor time: what others did on the machine adds, never takes away.
pub(crate) fn best(runs: &[Usage]) -> Usage {
    runs.iter().copied().min_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s)).unwrap_or_default()
}

/// Processor seconds of a process, its children not counted.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks(&stat, [14, 15])
}

/// The sum of two fields of a `stat` line, numbered as proc(5) does, in seconds.
fn ticks(stat: &str, fields: [usize; 2]) -> f64 {
    // The name, field 2, may hold anything; it ends with the last parenthesis.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |n: usize| rest.split_whitespace().nth(n - 3)?.parse::<f64>().ok();
    fields.iter().filter_map(|n| field(*n)).sum::<f64>() / TICKS
}

/// A line of `/proc/PID/status` in MiB (`VmHWM`, `VmRSS`).
pub(crate) fn memory_mib(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    let kib = found.and_then(|v| v.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// Waits for a child to end well; `started` is when it was.
pub(crate) fn wait(mut child: Child, started: Instant) -> Result<Usage, Problem> {
    let before = children_seconds();
    let mut usage = Usage::default();
    let status = loop {
        usage.peak_mib = memory_mib(child.id(), "VmHWM").max(usage.peak_mib);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    usage.wall_s = started.elapsed().as_secs_f64();
    usage.cpu_s = children_seconds() - before;
    if status.success() { Ok(usage) } else { Err(format!("a baseline failed: {status}").into()) }
}

/// Processor seconds of the children that were waited for.
fn children_seconds() -> f64 {
    ticks(&fs::read_to_string("/proc/self/stat").unwrap_or_default(), [16, 17])
}

/// Looks until something is there, or `limit` has passed.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Problem>,
) -> Result<T, Problem> {
    let started = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if started.elapsed() > limit {
            return Err(format!("{what} took more than {limit:?}").into());
        }
        std::thread::sleep(LOOK);
    }
}
