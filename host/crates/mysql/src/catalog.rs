//! What the server says about itself and its tables.

use std::collections::BTreeMap;

use wasmgate_codec::mysqlvalue::Charset;
use wasmgate_model::Fault;

use crate::connect::{Session, Texts, literal, quote, text};
use crate::definition::{ColumnDefinition, TableDefinition};
use crate::settings::Settings;

/// A table's name: database, table.
pub(crate) type TableName = (String, String);

/// What a server is and how it logs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Server {
    pub maria: bool,
    pub version: String,
    /// `server_uuid`; MariaDB's server id.
    pub identity: String,
    pub log_bin: bool,
    pub binlog_format: String,
    pub row_image: String,
    /// `MINIMAL`, `FULL`, or empty where the server does not know it.
    pub row_metadata: String,
    /// Transactions have names.
    pub gtids: bool,
    /// Names of tables are kept in lower case (`lower_case_table_names`)
    pub lower_names: bool,
}

/// Reads what a server is.
pub(crate) async fn server(session: &mut Session) -> Result<Server, Fault> {
    let doing = "cannot read the server's settings";
    let row = session.first(doing, "SELECT VERSION(), @@log_bin, @@binlog_format").await?;
    let row = row.unwrap_or_default();
    let version = text(&row, 0).to_owned();
    let maria = version.to_ascii_lowercase().contains("mariadb");
    let mut server = Server {
        maria,
        log_bin: text(&row, 1) == "1",
        binlog_format: text(&row, 2).to_ascii_uppercase(),
        gtids: maria,
        version,
        ..Server::default()
    };
    let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_id', \
               'gtid_mode', 'binlog_row_image', 'binlog_row_metadata', 'lower_case_table_names')";
    for row in session.query(doing, sql).await? {
        let value = text(&row, 1).to_ascii_uppercase();
        match text(&row, 0) {
            "server_uuid" if !maria => server.identity = text(&row, 1).to_owned(),
            "server_id" if maria => server.identity = value,
            "lower_case_table_names" => server.lower_names = value == "1",
            "gtid_mode" => server.gtids = value == "ON",
            "binlog_row_image" => server.row_image = value,
            "binlog_row_metadata" => server.row_metadata = value,
            _ => {}
        }
    }
    Ok(server)
}

/// Tables that are captured, by name.
pub(crate) async fn tables(
    session: &mut Session,
    settings: &Settings,
) -> Result<Vec<TableName>, Fault> {
    let sql = "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES \
               WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')";
    let rows = session.query("cannot read the names of the tables", sql).await?;
    let mut names: Vec<TableName> = rows
        .iter()
        .map(|row| (text(row, 0).to_owned(), text(row, 1).to_owned()))
        .filter(|(database, table)| settings.wants(database, table))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Default character sets by database.
pub(crate) async fn databases(session: &mut Session) -> Result<Vec<(String, String)>, Fault> {
    let sql = "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA";
    let rows = session.query("cannot read the databases", sql).await?;
    Ok(rows.iter().map(|row| (text(row, 0).to_owned(), text(row, 1).to_owned())).collect())
}

const COLUMNS: &str = "TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT, IS_NULLABLE, \
     COLUMN_TYPE, CHARACTER_SET_NAME, EXTRA, COLUMN_COMMENT, COLUMN_KEY, DATA_TYPE";

/// One table as it is now. `None`: it is not there.
pub(crate) async fn table(
    session: &mut Session,
    maria: bool,
    (database, table): &TableName,
) -> Result<Option<TableDefinition>, Fault> {
    let doing = "cannot read the columns of a table";
    let filter =
        format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", literal(database), literal(table));
    let sql = format!(
        "SELECT {COLUMNS} FROM information_schema.COLUMNS WHERE {filter} ORDER BY ORDINAL_POSITION"
    );
    let rows = session.query(doing, &sql).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let columns: Vec<ColumnDefinition> = rows.iter().map(|row| column(row, maria)).collect();
    let (key, primary) = key(session, database, table, &columns).await?;
    let sql = format!(
        "SELECT c.CHARACTER_SET_NAME, t.TABLE_COMMENT FROM information_schema.TABLES t JOIN \
         information_schema.COLLATION_CHARACTER_SET_APPLICABILITY c ON c.{} = t.TABLE_COLLATION \
         WHERE t.{}",
        if maria { "FULL_COLLATION_NAME" } else { "COLLATION_NAME" },
        filter.replace(" AND ", " AND t."),
    );
    let row = session.first(doing, &sql).await?.unwrap_or_default();
    let (charset, comment) = (text(&row, 0).to_owned(), text(&row, 1).to_owned());
    Ok(Some(TableDefinition { columns, key, primary, charset, comment }))
}

fn column(row: &Texts, maria: bool) -> ColumnDefinition {
    let extra = text(row, 7).to_ascii_lowercase();
    let generated = extra.contains("generated") && !extra.contains("default_generated");
    let given = row.get(3).cloned().flatten();
    let now = given.as_deref().is_some_and(|default| {
        default.get(..17).is_some_and(|word| word.eq_ignore_ascii_case("current_timestamp"))
    });
    // A text of a varchar may read the same.
    let default_now = now && (maria || extra.contains("default_generated"));
    // MariaDB prints defaults as expressions; MySQL marks expressions in EXTRA.
    let default = match given {
        Some(text) if maria => maria_constant(&text),
        Some(_) if extra.contains("default_generated") => None,
        other => other,
    };
    ColumnDefinition {
        name: text(row, 2).to_owned(),
        column_type: text(row, 5).to_owned(),
        charset: row.get(6).cloned().flatten(),
        nullable: text(row, 4) == "YES",
        default,
        default_now,
        auto_increment: extra.contains("auto_increment"),
        generated,
        comment: text(row, 8).to_owned(),
    }
}

/// `'it''s'` or `7`; `NULL` and calls are no constants.
fn maria_constant(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        return Some(inner.replace("''", "'").replace("\\\\", "\\"));
    }
    let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
    (number && text.parse::<f64>().is_ok()).then(|| text.to_owned())
}

/// The primary key in its order, else the first unique key whose columns are never null.
async fn key(
    session: &mut Session,
    database: &str,
    table: &str,
    columns: &[ColumnDefinition],
) -> Result<(Vec<String>, bool), Fault> {
    let sql = format!("SHOW INDEX FROM {}.{}", quote(database), quote(table));
    let rows = session.query("cannot read the keys of a table", &sql).await?;
    let mut keys: Vec<(String, Vec<String>, bool)> = Vec::new();
    for row in &rows {
        // Table, Non_unique, Key_name, Seq_in_index, Column_name, Collation, Cardinality, Sub_part
        let (unique, name, part) = (text(row, 1) == "0", text(row, 2), text(row, 4));
        let nullable = columns.iter().find(|c| c.name == part).is_none_or(|c| c.nullable);
        let usable = unique && !nullable && text(row, 7).is_empty();
        match keys.iter_mut().find(|(known, ..)| known == name) {
            Some((_, parts, good)) => {
                parts.push(part.to_owned());
                *good &= usable;
            }
            // The primary key's prefixes count, as for the server.
            None => keys.push((name.to_owned(), vec![part.to_owned()], usable)),
        }
    }
    let primary = keys.iter().position(|(name, ..)| name == "PRIMARY");
    let chosen = primary.or_else(|| keys.iter().position(|(_, _, usable)| *usable));
    let parts = chosen.and_then(|i| keys.into_iter().nth(i)).map(|(_, parts, _)| parts);
    Ok((parts.unwrap_or_default(), primary.is_some()))
}

/// Character sets by their names, and collations by their numbers; those of one byte a character
/// are read from the server when first met.
#[derive(Debug, Clone, Default)]
pub(crate) struct Charsets {
    known: BTreeMap<String, Charset>,
    collations: BTreeMap<u32, String>,
}

impl Charsets {
    pub(crate) async fn read(session: &mut Session) -> Result<Self, Fault> {
        let doing = "cannot read the collations";
        let sql = "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS \
                   WHERE ID IS NOT NULL";
        let mut all = Self::default();
        for row in session.query(doing, sql).await? {
            if let Ok(id) = text(&row, 0).parse() {
                all.collations.insert(id, text(&row, 1).to_owned());
            }
        }
        // MariaDB's collations for several character sets have their numbers here.
        let sql = "SELECT ID, CHARACTER_SET_NAME \
                   FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY";
        for row in session.query(doing, sql).await.unwrap_or_default() {
            if let Ok(id) = text(&row, 0).parse() {
                all.collations.entry(id).or_insert_with(|| text(&row, 1).to_owned());
            }
        }
        Ok(all)
    }

    /// The character set of a collation.
    pub(crate) fn of_collation(&self, id: u32) -> Option<&str> {
        self.collations.get(&id).map(String::as_str)
    }

    /// A character set that was [`Charsets::load`]ed.
    pub(crate) fn get(&self, name: &str) -> Option<&Charset> {
        self.known.get(name)
    }

    /// Makes a character set known.
    pub(crate) async fn load(&mut self, session: &mut Session, name: &str) -> Result<(), Fault> {
        if self.known.contains_key(name) {
            return Ok(());
        }
        let charset = match Charset::named(name) {
            Some(charset) => charset,
            None => single(session, name).await?,
        };
        self.known.insert(name.to_owned(), charset);
        Ok(())
    }
}

/// The characters of a set of one byte each, as the server converts them.
async fn single(session: &mut Session, name: &str) -> Result<Charset, Fault> {
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let each = (0..=255).map(|b| format!("CONVERT(_{plain} x'{b:02X}' USING utf8mb4)"));
    let sql = format!("SELECT {}", each.collect::<Vec<_>>().join(","));
    let doing = format!("cannot read the character set {plain}");
    let row = session.first(&doing, &sql).await?.unwrap_or_default();
    let first = |i: usize| text(&row, i).chars().next().unwrap_or('\u{fffd}');
    Ok(Charset::Single((0..256).map(first).collect()))
}
