//! Records of the MySQL source beside the changes of tables: raw to the connector's settings.

use wasmgate_mysql as mysql;

use crate::config::check::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, raw};

impl Checks<'_> {
    pub(super) fn mysql_heartbeats(
        &mut self,
        field: &Field,
        raw: &raw::MySqlEvents,
    ) -> Option<mysql::Heartbeats> {
        let query = field.member("heartbeat_query");
        if let Some(text) = &raw.heartbeat_query {
            self.filled(&query, text);
            if raw.heartbeat.is_none() {
                let problem = Problem::new("means something only with `heartbeat`");
                self.refuse(&query, problem.help("say how often: `heartbeat: 10s`"));
            }
        }
        self.topic_prefix(&field.member("heartbeat_topic_prefix"), &raw.heartbeat_topic_prefix);
        let interval = self.time_ms(&field.member("heartbeat"), raw.heartbeat?, 100, 3_600_000);
        Some(mysql::Heartbeats {
            interval,
            topic_prefix: raw.heartbeat_topic_prefix.clone(),
            query: raw.heartbeat_query.clone(),
        })
    }
}
