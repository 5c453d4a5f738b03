//! What modules cost and what they measure themselves, written as exposition text when it is
//! asked for: versions come and go, so these are no registered families.

use std::fmt::Write as _;

/// A metric that a module keeps itself.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnMetric {
    Counter(u64),
    Gauge(f64),
    /// Count, sum and (upper bound, samples up to it), cumulative.
    Histogram(u64, f64, Vec<(f64, u64)>),
}

/// One module as it stands.
#[derive(Debug, Clone, Default)]
pub struct ModuleSample {
    pub module: String,
    /// Version in use.
    pub version: String,
    pub calls: u64,
    pub rows: u64,
    pub traps: u64,
    pub deadlines: u64,
    pub errors: u64,
    pub cpu_seconds: f64,
    /// Largest linear memory of an instance so far.
    pub memory_bytes: u64,
    /// Metrics of the module itself, by name.
    pub own: Vec<(String, OwnMetric)>,
}

type Reading = fn(&ModuleSample) -> f64;

/// Name, help, type, and where the value is.
const COSTS: &[(&str, &str, &str, Reading)] = &[
    ("wasmgate_module_calls_total", "Calls of a module.", "counter", |m| m.calls as f64),
    ("wasmgate_module_records_total", "Records given to it.", "counter", |m| m.rows as f64),
    ("wasmgate_module_traps_total", "Calls that trapped.", "counter", |m| m.traps as f64),
    ("wasmgate_module_deadline_hits_total", "Calls over time.", "counter", |m| m.deadlines as f64),
    ("wasmgate_module_errors_total", "Calls that failed otherwise.", "counter", |m| {
        m.errors as f64
    }),
    ("wasmgate_module_seconds_total", "Time spent in a module.", "counter", |m| m.cpu_seconds),
    ("wasmgate_module_memory_bytes_max", "Largest memory.", "gauge", |m| m.memory_bytes as f64),
];

/// Appends the exposition of these modules.
pub(crate) fn write(modules: &[ModuleSample], out: &mut String) {
    for (name, help, kind, read) in COSTS {
        header(name, help, kind, out);
        for m in modules {
            let labels =
                format!("module=\"{}\",version=\"{}\"", escape(&m.module), escape(&m.version));
            line(name, &labels, read(m), out);
        }
    }
    own(modules, "wasmgate_module_own_total", "Counters that modules keep.", "counter", out);
    own(modules, "wasmgate_module_own_value", "Gauges that modules keep.", "gauge", out);
    own(modules, "wasmgate_module_own_samples", "Histograms that modules keep.", "histogram", out);
}

fn own(modules: &[ModuleSample], family: &str, help: &str, kind: &str, out: &mut String) {
    header(family, help, kind, out);
    for m in modules {
        for (name, metric) in &m.own {
            let labels = format!("module=\"{}\",name=\"{}\"", escape(&m.module), escape(name));
            match (metric, kind) {
                (OwnMetric::Counter(value), "counter") => line(family, &labels, *value as f64, out),
                (OwnMetric::Gauge(value), "gauge") => line(family, &labels, *value, out),
                (OwnMetric::Histogram(count, sum, buckets), "histogram") => {
                    let bucket = format!("{family}_bucket");
                    for (bound, samples) in buckets {
                        line(&bucket, &format!("{labels},le=\"{bound}\""), *samples as f64, out);
                    }
                    line(&bucket, &format!("{labels},le=\"+Inf\""), *count as f64, out);
                    line(&format!("{family}_sum"), &labels, *sum, out);
                    line(&format!("{family}_count"), &labels, *count as f64, out);
                }
                _ => {}
            }
        }
    }
}

fn header(name: &str, help: &str, kind: &str, out: &mut String) {
    // Writing to a string cannot fail.
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
}

fn line(name: &str, labels: &str, value: f64, out: &mut String) {
    writeln!(out, "{name}{{{labels}}} {value}").ok();
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_written() {
        let own = vec![
            ("seen".to_owned(), OwnMetric::Counter(3)),
            ("level".to_owned(), OwnMetric::Gauge(0.5)),
            ("size".to_owned(), OwnMetric::Histogram(2, 5.0, vec![(1.0, 1), (4.0, 2)])),
        ];
        let module = "a\"b".to_owned();
        let sample =
            ModuleSample { module, version: "1".into(), rows: 7, own, ..ModuleSample::default() };
        let mut text = String::new();
        write(&[sample], &mut text);
        for want in [
            "wasmgate_module_records_total{module=\"a\\\"b\",version=\"1\"} 7\n",
            "wasmgate_module_own_total{module=\"a\\\"b\",name=\"seen\"} 3\n",
            "wasmgate_module_own_value{module=\"a\\\"b\",name=\"level\"} 0.5\n",
            "wasmgate_module_own_samples_bucket{module=\"a\\\"b\",name=\"size\",le=\"4\"} 2\n",
            "wasmgate_module_own_samples_count{module=\"a\\\"b\",name=\"size\"} 2\n",
        ] {
            assert!(text.contains(want), "{want} is not in\n{text}");
        }
    }
}
