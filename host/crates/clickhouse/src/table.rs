//! A table as the server describes it.

use serde_json::Value;

use crate::client::Hosts;
use crate::error::ServerError;
use crate::types::{Type, name, quoted};

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    /// As the server writes it.
    pub(crate) written: String,
    /// `None`: a type that this sink does not write.
    pub(crate) ty: Option<Type>,
    /// It has an expression for rows that come without it.
    pub(crate) default: bool,
    /// It can be inserted (neither MATERIALIZED nor ALIAS).
    pub(crate) insertable: bool,
    pub(crate) sorting: bool,
}

/// What the table does with rows of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Family {
    /// Names of the version and deletion columns.
    Replacing {
        version: Option<String>,
        deleted: Option<String>,
    },
    Collapsing {
        sign: String,
    },
    /// The last value of each column that is not NULL.
    Coalescing,
    Other,
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) database: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<TableColumn>,
    pub(crate) family: Family,
    /// The engine's name.
    pub(crate) engine: String,
    /// Blocks whose tokens it remembers; 0: none.
    pub(crate) window: u64,
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or("")
}

fn number(row: &Value, field: &str) -> u64 {
    let value = row.get(field);
    // 64-bit numbers come as text from some versions.
    value.and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok())).unwrap_or(0)
}

/// Asks for a table. `None`: there is none.
pub(crate) async fn describe(
    hosts: &Hosts,
    database: &str,
    table: &str,
) -> Result<Option<Table>, ServerError> {
    let place = format!("database = {} AND ", quoted(database));
    let (columns, tables) = (
        format!(
            "SELECT name, type, default_kind, is_in_sorting_key FROM system.columns WHERE {place}\
             table = {}",
            quoted(table)
        ),
        format!(
            "SELECT engine, engine_full FROM system.tables WHERE {place}name = {}",
            quoted(table)
        ),
    );
    let Some(row) = hosts.rows(&tables).await?.into_iter().next() else {
        return Ok(None);
    };
    let (engine, full) = (text(&row, "engine"), text(&row, "engine_full"));
    let columns = hosts.rows(&columns).await?;
    let columns = columns.iter().map(|row| TableColumn {
        name: text(row, "name").to_owned(),
        written: text(row, "type").to_owned(),
        ty: Type::parse(text(row, "type")),
        default: text(row, "default_kind") == "DEFAULT",
        insertable: matches!(text(row, "default_kind"), "" | "DEFAULT" | "EPHEMERAL"),
        sorting: number(row, "is_in_sorting_key") == 1,
    });
    Ok(Some(Table {
        database: database.to_owned(),
        name: table.to_owned(),
        columns: columns.collect(),
        family: family(engine, full),
        engine: engine.to_owned(),
        window: window(hosts, engine, full).await?,
    }))
}

/// The engine's own arguments; those of replication stand before them and are quoted.
fn family(engine: &str, full: &str) -> Family {
    let arguments = full.split_once('(').filter(|(name, _)| name.trim() == engine);
    let arguments = arguments.and_then(|(_, rest)| Some(rest.split_once(')')?.0)).unwrap_or("");
    let mut own = arguments
        .split(',')
        .map(|argument| argument.trim().trim_matches('`').to_owned())
        .filter(|argument| !argument.is_empty() && !argument.starts_with('\''));
    match engine {
        _ if engine.ends_with("ReplacingMergeTree") => {
            Family::Replacing { version: own.next(), deleted: own.next() }
        }
        _ if engine.ends_with("VersionedCollapsingMergeTree") => {
            Family::Collapsing { sign: own.next().unwrap_or_default() }
        }
        _ if engine.ends_with("CollapsingMergeTree") => {
            Family::Collapsing { sign: own.next().unwrap_or_default() }
        }
        _ if engine.ends_with("CoalescingMergeTree") => Family::Coalescing,
        _ => Family::Other,
    }
}

/// The name of the setting that says how many blocks the table remembers.
pub(crate) fn window_setting(engine: &str) -> &'static str {
    match engine.starts_with("Replicated") || engine.starts_with("Shared") {
        true => "replicated_deduplication_window",
        false => "non_replicated_deduplication_window",
    }
}

async fn window(hosts: &Hosts, engine: &str, full: &str) -> Result<u64, ServerError> {
    let setting = window_setting(engine);
    let own = full.split_once("SETTINGS ").map_or("", |(_, settings)| settings);
    for pair in own.split(',') {
        if let Some((name, value)) = pair.split_once('=')
            && name.trim() == setting
        {
            return Ok(value.trim().parse().unwrap_or(0));
        }
    }
    let sql = format!("SELECT value FROM system.merge_tree_settings WHERE name = '{setting}'");
    let rows = hosts.rows(&sql).await?;
    Ok(rows.first().map_or(0, |row| number(row, "value")))
}

impl Table {
    pub(crate) fn column(&self, wanted: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.name == wanted)
    }

    /// `` `database`.`table` ``.
    pub(crate) fn path(&self) -> String {
        path(&self.database, &self.name)
    }

    /// The statement that makes the table remember tokens.
    pub(crate) fn set_window(&self) -> String {
        let setting = window_setting(&self.engine);
        format!("ALTER TABLE {} MODIFY SETTING {setting} = 1000", self.path())
    }
}

/// `` `database`.`table` ``.
pub(crate) fn path(database: &str, table: &str) -> String {
    format!("{}.{}", name(database), name(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_known_by_their_text() {
        let replacing = |version: &str, deleted: Option<&str>| Family::Replacing {
            version: Some(version.to_owned()),
            deleted: deleted.map(str::to_owned),
        };
        for (engine, full, want) in [
            (
                "ReplacingMergeTree",
                "ReplacingMergeTree(_version, _is_deleted) ORDER BY (a, b) SETTINGS x = 1",
                replacing("_version", Some("_is_deleted")),
            ),
            (
                "ReplicatedReplacingMergeTree",
                "ReplicatedReplacingMergeTree('/c/{shard}', '{replica}', v) ORDER BY a",
                replacing("v", None),
            ),
            (
                "ReplacingMergeTree",
                "ReplacingMergeTree ORDER BY (a, b)",
                Family::Replacing { version: None, deleted: None },
            ),
            (
                "CollapsingMergeTree",
                "CollapsingMergeTree(_sign) ORDER BY a",
                Family::Collapsing { sign: "_sign".to_owned() },
            ),
            ("CoalescingMergeTree", "CoalescingMergeTree ORDER BY a", Family::Coalescing),
            ("MergeTree", "MergeTree ORDER BY (a)", Family::Other),
        ] {
            assert_eq!(family(engine, full), want, "{full}");
        }
    }
}
