//! Records of the MySQL source beside the changes of tables.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::Time;

/// Records beside the changes of tables.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MySqlEvents {
    /// Statements that change captured tables or their databases become records on
    /// `<topic_prefix>`, with the tables as they are after it (`include.schema.changes`). A
    /// snapshot begins with the schemas that it finds. Default false.
    pub(crate) include_schema_changes: bool,
    /// These records have the comments of tables and columns (`include.schema.comments`). Default
    /// false.
    pub(crate) include_schema_comments: bool,
    /// How often a record goes to `<heartbeat_topic_prefix>.<topic_prefix>`. Default never, from
    /// `100ms` to `1h`.
    pub(crate) heartbeat: Option<Time>,
    /// First part of the topic of these records. Default `__debezium-heartbeat`.
    pub(crate) heartbeat_topic_prefix: String,
    /// A statement that is run with every such record. Default none.
    pub(crate) heartbeat_query: Option<String>,
}

impl Default for MySqlEvents {
    fn default() -> Self {
        Self {
            include_schema_changes: false,
            include_schema_comments: false,
            heartbeat: None,
            heartbeat_topic_prefix: "__debezium-heartbeat".into(),
            heartbeat_query: None,
        }
    }
}
