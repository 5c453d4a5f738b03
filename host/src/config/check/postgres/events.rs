//! Events of the Postgres source: raw to the connector's settings.

use wasmgate_postgres as postgres;

use crate::config::check::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, raw};

impl Checks<'_> {
    pub(super) fn events(&mut self, field: &Field, raw: raw::Events) -> postgres::Events {
        let query = field.member("heartbeat_query");
        if let Some(text) = &raw.heartbeat_query {
            self.filled(&query, text);
            if raw.heartbeat.is_none() {
                let problem = Problem::new("means something only with `heartbeat`");
                self.refuse(&query, problem.help("say how often: `heartbeat: 10s`"));
            }
        }
        let interval = field.member("heartbeat");
        postgres::Events {
            transactions: raw.transactions,
            heartbeat: raw.heartbeat.map(|time| self.time_ms(&interval, time, 100, 3_600_000)),
            heartbeat_query: raw.heartbeat_query,
            idle_message: raw.idle_message,
        }
    }

    pub(super) fn quarantine(
        &mut self,
        field: &Field,
        raw: raw::Quarantine,
    ) -> postgres::Quarantine {
        let rows = field.member("undecodable_rows");
        self.bounds(&rows, raw.undecodable_rows, 0, 1_000_000);
        let max = self.size(&field.member("keep_max"), raw.keep_max, 1 << 20, 1 << 44);
        postgres::Quarantine {
            events: match raw.events {
                raw::HeldEvents::DeadLetter => postgres::HeldEvents::DeadLetter,
                raw::HeldEvents::Keep => postgres::HeldEvents::Keep,
            },
            keep_max: max as u64,
            undecodable_rows: raw.undecodable_rows,
            // Where the data directory is, is known when the pipeline is assembled.
            dir: None,
        }
    }
}
