//! How the Postgres source reads the stream: raw to the connector's settings.

use wasmgate_postgres as postgres;

use crate::config::check::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, raw};

impl Checks<'_> {
    pub(super) fn stream(&mut self, field: &Field, raw: raw::Stream) -> postgres::Streaming {
        let messages = raw.messages;
        let chosen = messages.include.len() + messages.exclude.len() > 0;
        if chosen && !messages.on {
            let problem = Problem::new("means something only with `on: true`");
            self.refuse(&field.member("messages"), problem);
        }
        let patterns = |list: Vec<crate::config::units::Pattern>| {
            list.into_iter().map(|pattern| pattern.0).collect()
        };
        let memory = field.member("spill_memory");
        let disk = self.size(&field.member("spill_max"), raw.spill_max, 1 << 20, 1 << 44);
        postgres::Streaming {
            in_progress: match raw.in_progress {
                raw::InProgress::Off => postgres::InProgress::Off,
                raw::InProgress::On => postgres::InProgress::On,
                raw::InProgress::Parallel => postgres::InProgress::Parallel,
            },
            two_phase: raw.two_phase,
            origins: match raw.origin {
                raw::Origin::Any => postgres::Origins::Any,
                raw::Origin::None => postgres::Origins::None,
            },
            messages: postgres::Messages {
                off: !messages.on,
                include: patterns(messages.include),
                exclude: patterns(messages.exclude),
            },
            limits: postgres::SpillLimits {
                memory: self.size(&memory, raw.spill_memory, 64 << 10, 16 << 30),
                disk: disk as u64,
            },
            // Where the data directory is, is known when the pipeline is assembled.
            dir: None,
        }
    }
}
