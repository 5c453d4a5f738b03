//! The schemas that a snapshot begins with: what stood before is dropped, then databases and
//! tables are made as the server prints them.

use std::collections::BTreeMap;

use wasmgate_model::{Fault, Position};

use super::{SchemaTopic, Told, tables};
use crate::assemble::Assembler;
use crate::catalog::TableName;
use crate::connect::{Session, quote, text};
use crate::history::History;
use crate::rows::Origin;
use crate::snapshot::{Events, hand_over};
use crate::state::State;

/// Where the snapshot begins.
pub(crate) struct Beginning<'a> {
    pub history: &'a History,
    pub state: &'a State,
    pub events: &'a Events,
    /// Of the last record.
    pub at: Position,
    pub time_us: i64,
}

/// Appends the schemas; answers the position of the last one.
pub(crate) async fn tell_tables(
    topic: &SchemaTopic,
    session: &mut Session,
    out: &mut Assembler,
    beginning: Beginning<'_>,
) -> Result<Position, Fault> {
    let Beginning { history, state, events, mut at, time_us } = beginning;
    let origin = Origin {
        time_us,
        snapshot: "true",
        server_id: 0,
        gtid: None,
        file: &state.place.file,
        offset: state.place.offset,
        row: 0,
        thread: None,
        query: None,
        transaction: None,
    };
    for told in schemas(session, history, topic.comments).await? {
        at.minor += 1;
        topic.put(out, &told, &origin, at)?;
        if out.is_full() {
            hand_over(out, state.to_bytes(), events).await?;
        }
    }
    Ok(at)
}

const DOING: &str = "cannot read the schemas of the databases";

async fn schemas(
    session: &mut Session,
    history: &History,
    comments: bool,
) -> Result<Vec<Told>, Fault> {
    let sql = "SELECT @@character_set_server, @@collation_server";
    let row = session.first(DOING, sql).await?.unwrap_or_default();
    let ddl =
        format!("SET character_set_server={}, collation_server={}", text(&row, 0), text(&row, 1));
    let of_database = |database: &str, ddl| Told {
        database: database.to_owned(),
        tables: None,
        ddl,
        changes: Vec::new(),
    };
    let mut all = vec![of_database("", ddl)];
    // A name that is empty is a database's.
    let names: Vec<&TableName> = history.names().filter(|(_, table)| !table.is_empty()).collect();
    let mut databases: BTreeMap<&str, Vec<&TableName>> = BTreeMap::new();
    for name in names {
        let ddl = format!("DROP TABLE IF EXISTS {}.{}", quote(&name.0), quote(&name.1));
        all.push(of_table(name, ddl, tables::changed("DROP", name, None, comments)));
        databases.entry(&name.0).or_default().push(name);
    }
    let sql = "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
               FROM information_schema.SCHEMATA";
    let rows = session.query(DOING, sql).await?;
    for (database, names) in databases {
        let quoted = quote(database);
        let row = rows.iter().find(|row| text(row, 0) == database);
        let options = row.map_or_else(String::new, |row| {
            format!(" CHARSET {} COLLATE {}", text(row, 1), text(row, 2))
        });
        all.push(of_database(database, format!("DROP DATABASE IF EXISTS {quoted}")));
        all.push(of_database(database, format!("CREATE DATABASE {quoted}{options}")));
        all.push(of_database(database, format!("USE {quoted}")));
        for name in names {
            let sql = format!("SHOW CREATE TABLE {quoted}.{}", quote(&name.1));
            let row = session.first(DOING, &sql).await?.unwrap_or_default();
            let change = tables::changed("CREATE", name, history.get(name), comments);
            all.push(of_table(name, text(&row, 1).to_owned(), change));
        }
    }
    Ok(all)
}

fn of_table(name: &TableName, ddl: String, change: serde_json::Value) -> Told {
    Told { database: name.0.clone(), tables: Some(name.1.clone()), ddl, changes: vec![change] }
}
