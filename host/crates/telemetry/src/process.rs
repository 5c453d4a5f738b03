//! What is counted once per process.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::pipeline::register;

/// Process-wide handles.
pub struct ProcessMetrics {
    resident: IntGauge,
    build: IntGaugeVec,
    /// Module loads by module and outcome (`accepted`, `rejected`).
    pub module_loads: IntCounterVec,
}

impl ProcessMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let resident = register(
            registry,
            IntGauge::new("process_resident_memory_bytes", "Resident memory of the process."),
        );
        let build = register(
            registry,
            IntGaugeVec::new(
                Opts::new("wasmgate_build_info", "Version of the gateway; always 1."),
                &["version"],
            ),
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let module_loads = register(
            registry,
            IntCounterVec::new(
                Opts::new("wasmgate_module_loads_total", "Module files and uploads seen."),
                &["module", "outcome"],
            ),
        );
        Self { resident, build, module_loads }
    }

    pub(crate) fn refresh(&self) {
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        if let Some(bytes) = resident_bytes() {
            self.resident.set(bytes);
        }
    }
}

/// Linux: the second number of /proc/self/statm, in pages of 4 KiB (proc(5)).
fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
