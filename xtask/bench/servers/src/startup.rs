//! From the start of the process to `/readyz` 200, with modules compiled before and not; resident
//! memory when idle.

use std::path::Path;
use std::time::Duration;

use wasmgate_bench_servers::records::{FRAUD, QUALITY, ROUTE, UNWRAP};

use crate::Problem;
use crate::gateway::{Gateway, stage};
use crate::measure::memory_mib;

const WARM: usize = 7;

/// The five modules as YAML.
pub(crate) fn five_modules() -> String {
    [
        stage("unwrap", UNWRAP),
        stage("quality-check", QUALITY),
        stage("fraud-rule", FRAUD),
        stage("route", ROUTE),
        stage("identity", "{}"),
    ]
    .concat()
}

fn pipeline() -> String {
    format!(
        "  idle:
    source: {{ sample: {{ system: telecom, rate: 1 }} }}
    transforms:
{}    sinks:
      - {{ topics: '.*', blackhole: {{}} }}
",
        five_modules()
    )
}

/// Starts and stops a gateway, so that the next one finds every module compiled.
pub(crate) fn warm_up(dir: &Path) -> Result<(), Problem> {
    let mut gateway = Gateway::start(dir, &pipeline())?;
    gateway.ready()?;
    gateway.stop()
}

/// Seconds to readiness, and resident memory in MiB a while later.
fn once(dir: &Path) -> Result<(f64, f64), Problem> {
    let mut gateway = Gateway::start(dir, &pipeline())?;
    let ready = gateway.ready()?;
    std::thread::sleep(Duration::from_secs(1));
    let resident = memory_mib(gateway.pid(), "VmRSS");
    gateway.stop()?;
    Ok((ready, resident))
}

/// Starts cold once, then warm.
pub(crate) fn run() -> Result<(), Problem> {
    let dir = tempfile::tempdir()?;
    let (cold, _) = once(dir.path())?;
    let mut warm = (0..WARM).map(|_| once(dir.path())).collect::<Result<Vec<_>, _>>()?;
    warm.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median, resident) = warm.get(WARM / 2).copied().unwrap_or_default();
    println!("startup: five modules, exec to /readyz 200");
    println!("  modules compiled before: {:.0} ms (median of {WARM})", median * 1e3);
    println!("  first start, compiles them: {:.0} ms", cold * 1e3);
    println!("  resident when idle: {resident:.0} MiB");
    Ok(())
}
