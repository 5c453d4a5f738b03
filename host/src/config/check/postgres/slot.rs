//! Slot, publication and replica identities: raw to the connector's settings.

use regex::Regex;
use wasmgate_postgres as postgres;

use crate::config::check::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, raw};

/// Least and most of `wal_limit`.
const LIMIT: (u64, u64) = (1 << 20, 16_384 << 30);

impl Checks<'_> {
    pub(super) fn slot_care(&mut self, field: &Field, raw: raw::SlotCare) -> postgres::SlotCare {
        let limit = raw.wal_limit;
        if limit.0 > 0 {
            self.size(&field.member("wal_limit"), limit, LIMIT.0, LIMIT.1);
        } else if !matches!(raw.on_wal_limit, raw::OnWalLimit::Warn) {
            let problem = Problem::new("means nothing without `wal_limit`")
                .help("set `wal_limit`, as in `wal_limit: 20GiB`");
            self.refuse(&field.member("on_wal_limit"), problem);
        }
        let (wait, watch) = (field.member("wait"), field.member("watch_interval"));
        postgres::SlotCare {
            publication: match raw.publication_mode {
                raw::PublicationMode::Filtered => postgres::PublicationMode::Filtered,
                raw::PublicationMode::AllTables => postgres::PublicationMode::AllTables,
                raw::PublicationMode::NoTables => postgres::PublicationMode::NoTables,
                raw::PublicationMode::Disabled => postgres::PublicationMode::Disabled,
            },
            via_partition_root: raw.publish_via_partition_root,
            drop_surplus: raw.drop_surplus_tables,
            failover: raw.failover,
            drop_on_stop: raw.drop_on_stop,
            wait: self.time_ms(&wait, raw.wait, 0, 600_000),
            mismatch: match raw.position_mismatch {
                raw::Mismatch::TrustOffset => postgres::Mismatch::TrustOffset,
                raw::Mismatch::TrustSlot => postgres::Mismatch::TrustSlot,
                raw::Mismatch::TrustGreaterLsn => postgres::Mismatch::TrustGreater,
                raw::Mismatch::NoValidation => postgres::Mismatch::NoValidation,
            },
            wal_limit: (limit.0 > 0).then_some(limit.0),
            on_wal_limit: match raw.on_wal_limit {
                raw::OnWalLimit::Warn => postgres::OnWalLimit::Warn,
                raw::OnWalLimit::Pause => postgres::OnWalLimit::Pause,
                raw::OnWalLimit::Drop => postgres::OnWalLimit::Drop,
            },
            watch_interval: self.time_ms(&watch, raw.watch_interval, 100, 3_600_000),
            replica_identity: self
                .identities(&field.member("replica_identity"), raw.replica_identity),
        }
    }

    fn identities(
        &mut self,
        field: &Field,
        rules: std::collections::BTreeMap<String, String>,
    ) -> Vec<(Regex, postgres::Identity)> {
        let mut checked = Vec::with_capacity(rules.len());
        for (tables, identity) in rules {
            let place = field.member(&tables);
            let pattern = match Regex::new(&format!("^(?:{tables})$")) {
                Ok(pattern) => pattern,
                Err(error) => {
                    let message = format!("`{tables}` is not a regular expression: {error}");
                    self.refuse(&place, Problem::new(message));
                    continue;
                }
            };
            match parsed(&identity) {
                Some(identity) => checked.push((pattern, identity)),
                None => {
                    let problem = Problem::new(format!(
                        "found `{identity}`, expected `default`, `full`, `nothing` or `index NAME`"
                    ));
                    self.refuse(&place, problem);
                }
            }
        }
        checked
    }
}

fn parsed(text: &str) -> Option<postgres::Identity> {
    let (word, name) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    match (word.to_ascii_lowercase().as_str(), name.trim()) {
        ("default", "") => Some(postgres::Identity::Default),
        ("full", "") => Some(postgres::Identity::Full),
        ("nothing", "") => Some(postgres::Identity::Nothing),
        ("index", name) if !name.is_empty() => Some(postgres::Identity::Index(name.to_owned())),
        _ => None,
    }
}
