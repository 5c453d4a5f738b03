//! Raw to checked: bounds, names, exactly one of a kind, and what one field demands of another.
//! Every problem is collected, so that one run shows them all.

mod clickhouse;
mod conflict;
mod mysql;
mod postgres;
mod signals;
mod sink;
mod snapshots;
mod source;

use std::fmt::Display;
use std::net::SocketAddr;

use secrecy::{ExposeSecret as _, SecretString};
use wasmgate_admin::{MODULE_BYTES_MAX, Role};
use wasmgate_connector::BatchLimits;
use wasmgate_pipeline::{GuardSpec, OnMisfit, Then};

use super::problem::{Problem, alternatives};
use super::units::{Size, Time};
use super::{Demand, Document, Field, checked, raw};

/// Shortest bearer token that is accepted.
const TOKEN_MIN: usize = 16;
/// Lanes at most.
const LANES_MAX: u32 = 64;

/// Collects what is wrong.
struct Checks<'d> {
    document: &'d Document,
    problems: Vec<Problem>,
}

impl Checks<'_> {
    fn refuse(&mut self, field: &Field, problem: Problem) {
        self.problems.push(self.document.locate(field, problem));
    }

    /// A value outside its bounds is refused.
    fn bounds<T: PartialOrd + Display>(&mut self, field: &Field, value: T, least: T, most: T) {
        if value < least || value > most {
            let message = format!("found `{value}`, expected {least} to {most}");
            self.refuse(field, Problem::new(message));
        }
    }

    fn size(&mut self, field: &Field, size: Size, least: u64, most: u64) -> usize {
        if size.0 < least || size.0 > most {
            let (least, most) = (Size(least), Size(most));
            let message = format!("found `{size}`, expected `{least}` to `{most}`");
            self.refuse(field, Problem::new(message));
        }
        usize::try_from(size.0).unwrap_or(usize::MAX)
    }

    fn time_ms(&mut self, field: &Field, time: Time, least: u64, most: u64) -> std::time::Duration {
        let ms = u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX);
        if ms < least || ms > most {
            let message = format!("found `{ms}ms`, expected `{least}ms` to `{most}ms`");
            self.refuse(field, Problem::new(message));
        }
        time.0
    }

    /// Text that has to be there.
    fn filled(&mut self, field: &Field, text: &str) {
        if text.trim().is_empty() {
            self.refuse(field, Problem::new("found nothing, expected text"));
        }
    }

    /// Text made of few characters only.
    fn spelled(&mut self, field: &Field, text: &str, allowed: fn(char) -> bool, expected: &str) {
        if text.is_empty() || !text.chars().all(allowed) {
            self.refuse(field, Problem::new(format!("found `{text}`, expected {expected}")));
        }
    }

    /// Exactly one of the kinds of a mapping has to be there.
    fn one_of(&mut self, field: &Field, what: &str, kinds: &[(&str, bool)]) -> bool {
        let given: Vec<&str> = kinds.iter().filter(|(_, is)| *is).map(|(kind, _)| *kind).collect();
        let all: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
        let problem = match given.as_slice() {
            [_] => return true,
            [] => Problem::new(format!("names none of {what}, expected exactly one"))
                .help(format!("add one of {}, with its settings", alternatives(&all))),
            several => {
                let list = several.join("`, `");
                let count = several.len();
                Problem::new(format!("names {count} of {what} (`{list}`), expected exactly one"))
                    .help("keep one of them; for several, write several entries or pipelines")
            }
        };
        self.refuse(field, problem);
        false
    }
}

/// Checks everything. What is demanded has to be there.
///
/// # Errors
/// Every problem found.
pub(crate) fn check(
    raw: raw::Config,
    document: &Document,
    demand: Demand,
) -> Result<checked::Config, Vec<Problem>> {
    let mut checks = Checks { document, problems: Vec::new() };
    let root = Field::default();
    let http = checks.http(&root.member("http"), raw.http);
    let modules = checks.modules(&root.member("modules"), raw.modules);
    let all = root.member("pipelines");
    if raw.pipelines.is_empty() && demand == Demand::Pipelines {
        let problem = Problem::new("names no pipeline, expected at least one").help(
            "add `NAME: { source: …, sinks: [ … ] }`, or give connectors: `--connector FILE`",
        );
        checks.refuse(&all, problem);
    }
    let letters = raw.data_dir.join("dead-letters");
    checks.conflicts(&all, &raw.pipelines, &letters);
    checks.connectors(&root.member("connectors"), raw.connectors, &letters);
    let pipelines: Vec<_> = raw
        .pipelines
        .into_iter()
        .map(|(name, pipeline)| {
            let field = all.member(&name);
            checks.pipeline(&field, name, pipeline, &letters)
        })
        .collect();
    if !checks.problems.is_empty() {
        return Err(checks.problems);
    }
    Ok(checked::Config {
        data_dir: raw.data_dir,
        http: http.ok_or_else(Vec::new)?,
        log: checked::Log { format: raw.log.format, level: raw.log.level },
        modules,
        pipelines: pipelines.into_iter().flatten().collect(),
    })
}

impl Checks<'_> {
    fn http(&mut self, field: &Field, raw: raw::Http) -> Option<checked::Http> {
        let listen = match raw.listen.parse::<SocketAddr>() {
            Ok(listen) => listen,
            Err(_) => {
                let message = format!("found `{}`, expected an address and a port", raw.listen);
                let problem = Problem::new(message).help("write for example `127.0.0.1:8080`");
                self.refuse(&field.member("listen"), problem);
                return None;
            }
        };
        if !listen.ip().is_loopback() && raw.tokens.is_empty() {
            let problem = Problem::new(format!(
                "`{listen}` can be reached from other machines, and there are no tokens"
            ))
            .help("add `tokens: [\"${env:WASMGATE_TOKEN}\"]`, or listen on 127.0.0.1");
            self.refuse(&field.member("listen"), problem);
        }
        let tokens = raw.tokens.into_iter().enumerate();
        let entries = field.member("tokens");
        let tokens = tokens.map(|(index, token)| self.token(&entries.entry(index), token));
        let tokens = tokens.collect();
        let upload_max = field.member("upload_max");
        let upload_max = self.size(&upload_max, raw.upload_max, 1 << 10, MODULE_BYTES_MAX) as u64;
        Some(checked::Http { listen, tokens, hosts: raw.hosts, upload_max })
    }

    /// What no connector uses yet is checked too.
    fn connectors(&mut self, field: &Field, raw: raw::Connectors, letters: &std::path::Path) {
        let sinks = raw.sinks.unwrap_or_default();
        let broker = sinks.iter().find_map(|sink| sink.kafka.as_ref());
        let broker = broker.map(|kafka| kafka.bootstrap_servers.clone());
        if !sinks.is_empty() {
            self.sinks(&field.member("sinks"), sinks);
        }
        self.dead_letters(&field.member("dead_letters"), raw.dead_letters, letters, broker);
        for name in raw.defaults.keys() {
            if let Err(near) = wasmgate_debezium::known(name) {
                let problem = Problem::new("no property of a connector or of Kafka Connect");
                let help = near.map(|near| format!("did you mean `{near}`?"));
                let problem = help.into_iter().fold(problem, Problem::help);
                self.refuse(&field.member("defaults").member(name), problem);
            }
        }
    }

    fn token(&mut self, field: &Field, raw: raw::Token) -> (SecretString, Role) {
        let raw::Token { token, role, mapping } = raw;
        if token.0.expose_secret().len() < TOKEN_MIN {
            let message = format!("the token is shorter than {TOKEN_MIN} characters");
            let problem = Problem::new(message).help("make one with `openssl rand -hex 32`");
            let member = field.member("token");
            self.refuse(if mapping { &member } else { field }, problem);
        }
        let role = match role {
            raw::Role::Viewer => Role::Viewer,
            raw::Role::Operator => Role::Operator,
            raw::Role::Deployer => Role::Deployer,
        };
        (token.0, role)
    }

    fn modules(&mut self, field: &Field, raw: raw::Modules) -> checked::Modules {
        let limits = field.member("limits");
        let memory = self.size(&limits.member("memory"), raw.limits.memory, 1 << 20, 4 << 30);
        let batch_time =
            self.time_ms(&limits.member("batch_time"), raw.limits.batch_time, 10, 60_000);
        checked::Modules { dir: raw.dir, memory_bytes: memory as u64, batch_time }
    }

    fn pipeline(
        &mut self,
        field: &Field,
        name: String,
        raw: raw::Pipeline,
        letters: &std::path::Path,
    ) -> Option<checked::Pipeline> {
        self.pipeline_name(field, &name);
        let signals = self.signal_channels(&field.member("source"), &name, &raw.source);
        let source = self.source(&field.member("source"), raw.source);
        let transforms = self.transforms(&field.member("transforms"), raw.transforms);
        let broker = raw.sinks.iter().find_map(|s| s.kafka.as_ref());
        let broker = broker.map(|k| k.bootstrap_servers.clone());
        let sinks = self.sinks(&field.member("sinks"), raw.sinks);
        let dead = field.member("dead_letters");
        let dead_letters = self.dead_letters(&dead, raw.dead_letters, letters, broker);
        let policy = raw.policy.map(|policy| checked::Policy {
            module: self.module_name(&field.member("policy").member("module"), policy.module),
            config: serde_json::Value::Object(policy.config).to_string(),
        });
        let limits = self.batch(&field.member("batch"), raw.batch);
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let lanes = match raw.lanes {
            Some(lanes) => {
                self.bounds(&field.member("lanes"), lanes, 1, LANES_MAX);
                lanes as usize
            }
            None => cpus.min(LANES_MAX as usize),
        };
        let (source, dead_letters) = (source?, dead_letters?);
        Some(checked::Pipeline {
            name,
            source,
            signals,
            transforms,
            sinks,
            dead_letters,
            policy,
            limits,
            lanes,
        })
    }

    fn pipeline_name(&mut self, field: &Field, name: &str) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let start = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !start || name.len() > 64 || !name.chars().all(allowed) {
            let problem = Problem::new(format!("`{name}` cannot be the name of a pipeline")).help(
                "use 1 to 64 letters, digits, `-`, `_` and `.`, starting with a letter or digit",
            );
            self.refuse(field, problem);
        }
    }

    fn transforms(&mut self, field: &Field, raw: Vec<raw::Transform>) -> Vec<checked::Transform> {
        let entries = raw.into_iter().enumerate().map(|(index, transform)| {
            let field = field.entry(index);
            let topics = transform.when.map(|when| {
                if when.topics.is_empty() {
                    let problem = Problem::new("found no pattern, expected at least one")
                        .help("leave `when` out to show the module every record");
                    self.refuse(&field.member("when").member("topics"), problem);
                }
                when.topics.into_iter().map(|p| p.0).collect()
            });
            checked::Transform {
                module: self.module_name(&field.member("module"), transform.module),
                topics,
                config: serde_json::Value::Object(transform.config).to_string(),
                guard: GuardSpec {
                    on_misfit: match transform.on_misfit {
                        raw::OnMisfit::Pause => OnMisfit::Pause,
                        raw::OnMisfit::DeadLetter => OnMisfit::DeadLetter,
                    },
                    stamp: transform.record_version_header,
                    ..self.on_failures(&field.member("on_failures"), transform.on_failures)
                },
            }
        });
        entries.collect()
    }

    fn on_failures(&mut self, field: &Field, raw: raw::OnFailures) -> GuardSpec {
        self.bounds(&field.member("count"), raw.count, 1, 1000);
        let window = self.time_ms(&field.member("window"), raw.window, 1000, 3_600_000);
        let then = match raw.then {
            raw::Then::Pause => Then::Pause,
            raw::Then::DeadLetter => Then::DeadLetter,
            raw::Then::Bypass => Then::Bypass,
        };
        GuardSpec { failures: raw.count, window, then, ..GuardSpec::default() }
    }

    fn module_name(&mut self, field: &Field, name: String) -> String {
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
        let expected = "the name of a file in `modules.dir` without `.wasm`: lower-case letters, \
                        digits, `-` and `_`";
        self.spelled(field, &name, allowed, expected);
        name
    }

    fn batch(&mut self, field: &Field, raw: raw::Batch) -> BatchLimits {
        self.bounds(&field.member("rows"), raw.rows, 1, 65_536);
        BatchLimits {
            rows: raw.rows as usize,
            bytes: self.size(&field.member("bytes"), raw.bytes, 1 << 10, 256 << 20),
            wait: self.time_ms(&field.member("wait"), raw.wait, 0, 10_000),
        }
    }
}
