//! How existing rows of Postgres tables are read, as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::Pattern;

/// How existing rows are read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Snapshots {
    /// Connections that read at the same time, tables and ranges of one table beside each other.
    /// With 1 tables come one after the other. Default 1, from 1 to 64.
    pub(crate) threads: usize,
    /// Tables whose existing rows are read, as regular expressions that match the whole
    /// `schema.table`. Default: all.
    pub(crate) include: Vec<Pattern>,
    /// By `schema.table`: the SELECT that gives its rows instead of the table. It has to give
    /// every column of the table, by name. Default: none.
    pub(crate) select: BTreeMap<String, String>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { threads: 1, include: Vec::new(), select: BTreeMap::new() }
    }
}

/// Where it is told what snapshots do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notifications {
    /// Topic for records of it, by its whole name: letters, digits, `.`, `_` and `-`. Default:
    /// none.
    pub(crate) topic: Option<String>,
    /// Whether lines of the log tell of it. Default false.
    #[serde(default)]
    pub(crate) log: bool,
}
