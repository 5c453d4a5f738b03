//! Which events become records beside the changes of tables.

use std::time::Duration;

/// Events beside the changes of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// Begin and end of transactions become records on `<prefix>.transaction`, and every change
    /// says its place in its transaction.
    pub transactions: bool,
    /// How often a record goes to `__debezium-heartbeat.<prefix>`. `None`: never.
    pub heartbeat: Option<Duration>,
    /// A statement that is run with every such record.
    pub heartbeat_query: Option<String>,
    /// Where nothing is written to the database but much to others of its server, a logical
    /// message is written, so that the slot moves on.
    pub idle_message: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { transactions: false, heartbeat: None, heartbeat_query: None, idle_message: true }
    }
}
