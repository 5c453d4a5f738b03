//! `snapshot: recovery`: the definitions of the tables are taken from the server again, without
//! reading rows. They are those of the checkpoint only if no statement has changed them since, so
//! the log behind the checkpoint is looked through first.

use std::sync::Arc;

use wasmgate_model::Fault;

use crate::catalog::{Charsets, Server};
use crate::connect::Connector;
use crate::ddl::{self, Change};
use crate::dump::{Dump, raw};
use crate::event::kind;
use crate::fault::{protocol, refused};
use crate::history::History;
use crate::settings::Settings;
use crate::state::State;
use crate::table::Naming;

/// Looks for statements behind a checkpoint that change tables which are captured; `now` are the
/// tables as they are.
///
/// # Errors
/// There is one: the definitions of the checkpoint are not known.
pub(crate) async fn unchanged(
    connector: &Connector,
    settings: &Settings,
    server: &Server,
    now: &History,
    stored: &State,
) -> Result<(), Fault> {
    // Character sets do not count for what a statement is about.
    let naming = Naming {
        settings: Arc::default(),
        maria: server.maria,
        lower_names: server.lower_names,
        charsets: Charsets::default(),
    };
    let mut dump = Dump::up_to_end(connector, stored).await?;
    while let Some(event) = dump.next_or_end().await? {
        let raw = raw(&event);
        if !matches!(raw.kind, kind::QUERY | kind::MARIA_QUERY_COMPRESSED) {
            continue;
        }
        let query = crate::event::query(raw.body, raw.kind == kind::MARIA_QUERY_COMPRESSED);
        let query = query.ok_or_else(|| protocol("cannot read a statement of the log"))?;
        let changes = ddl::read(&query.sql, &query.database, now, &naming);
        let changed = changes.iter().find_map(|change| match change {
            Change::Defined(name, _) | Change::Dropped(name) | Change::Unclear(name) => {
                let database = name.1.is_empty() && settings.wants_database(&name.0);
                (database || settings.wants(&name.0, &name.1)).then_some(name)
            }
            Change::Truncated(_) | Change::Touched(..) => None,
        });
        if let Some((database, table)) = changed {
            return Err(refused(format!(
                "`snapshot: recovery` is not possible: {database}.{table} was changed after the \
                 checkpoint, so what it was there is not known; read the tables again (`snapshot: \
                 always` for one start)"
            )));
        }
    }
    Ok(())
}
