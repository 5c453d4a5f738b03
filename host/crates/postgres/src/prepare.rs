//! What has to be so before reading starts: server, publication, slot, and a checkpoint that
//! belongs to them. Nothing that exists is altered; what is missing is created and logged.

use std::time::Duration;

use postgres_protocol::escape::escape_literal;
use wasmgate_model::{Fault, FaultKind, Position};

use crate::catalog::{Catalog, Published, TableName, quote};
use crate::connect::{Connector, Purpose};
use crate::fault::{WAL_LEVEL, lost_advice, protocol};
use crate::lsn::Lsn;
use crate::session::{Session, number, text};
use crate::settings::{Settings, Snapshot};
use crate::snapshot::Export;
use crate::state::State;

/// The oldest server whose pgoutput and catalog are relied on (14.0).
pub(crate) const OLDEST: u32 = 140_000;
/// How long a slot may stay with its last reader, which may be our own broken connection.
const SLOT_WAIT: Duration = Duration::from_secs(5);

/// A server that is ready to be read.
pub(crate) struct Prepared {
    pub replication: Session,
    pub catalog: Catalog,
    pub tables: Vec<Published>,
    /// As it will be while the snapshot runs, or is from now on.
    pub state: State,
    pub start: Start,
}

/// How reading starts.
pub(crate) enum Start {
    Snapshot(Export),
    /// `assigned`: the checkpoint does not say so yet.
    Stream {
        at: Position,
        assigned: bool,
    },
    /// The snapshot was all that was asked for, and it is done.
    Completed,
}

/// A slot as the server has it.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub usable: Result<(), String>,
    pub active_pid: Option<u32>,
    pub confirmed: Option<Lsn>,
    pub lost: bool,
}

fn refused(message: String) -> Fault {
    Fault::new(FaultKind::SourceRefused, message)
}

/// Connects, looks, creates what is missing.
pub(crate) async fn prepare(
    connector: &Connector,
    settings: &Settings,
    checkpoint: Option<(Position, Option<State>)>,
) -> Result<Prepared, Fault> {
    let mut catalog = Catalog::new(connector.clone());
    let version = check_server(&mut catalog).await?;
    let mut replication = connector.connect(Purpose::Replication).await?;
    let tables = publication(&mut catalog, settings).await?;
    let identity = replication.query("cannot identify the server", "IDENTIFY_SYSTEM").await?;
    let identity = identity.first().ok_or_else(|| protocol("IDENTIFY_SYSTEM answers nothing"))?;
    let mut state = State {
        snapshot_done: true,
        system_id: text(identity, 0).to_owned(),
        timeline: number(identity, 1),
        slot: settings.slot.clone(),
    };
    let end = Lsn::parse(text(identity, 2)).unwrap_or_default();
    let slot = free_slot(&mut catalog, &settings.slot).await?;
    let start = match decide(settings, checkpoint, &state, slot.as_ref(), end)? {
        Decision::Completed => Start::Completed,
        Decision::Stream { at, assigned } => Start::Stream { at, assigned },
        Decision::NewSlot => {
            let export = create_slot(&mut replication, &settings.slot, version, "", false).await?;
            tracing::info!(slot = settings.slot, "replication slot created");
            Start::Stream { at: Position::new(export.consistent_point, 0), assigned: true }
        }
        Decision::Snapshot => {
            state.snapshot_done = false;
            Start::Snapshot(export(&mut replication, settings, version, slot).await?)
        }
    };
    Ok(Prepared { replication, catalog, tables, state, start })
}

/// Version and wal_level; answers the version.
async fn check_server(catalog: &mut Catalog) -> Result<u32, Fault> {
    let sql = "SELECT current_setting('server_version_num'), current_setting('server_version'), \
               current_setting('wal_level')";
    let rows = catalog.query("cannot read the server's settings", sql).await?;
    let row = rows.first().ok_or_else(|| protocol("no settings"))?;
    if number::<u32>(row, 0) < OLDEST {
        let found = text(row, 1);
        return Err(refused(format!("the server is PostgreSQL {found}; 14 or newer is needed")));
    }
    if text(row, 2) != "logical" {
        return Err(refused(format!("wal_level is {}: {WAL_LEVEL}", text(row, 2))));
    }
    Ok(number(row, 0))
}

/// The tables that the settings name, in their order.
pub(crate) fn named_tables(settings: &Settings) -> Result<Vec<TableName>, Fault> {
    let parse = |text: &String| {
        TableName::parse(text).ok_or_else(|| {
            let message = format!("`tables`: \"{text}\" is not of the form schema.table");
            Fault::new(FaultKind::Config, message)
        })
    };
    let mut tables = Vec::with_capacity(settings.tables.len());
    for table in settings.tables.iter().map(parse) {
        let table = table?;
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    Ok(tables)
}

/// The statement that makes the publication.
pub(crate) fn create_publication(settings: &Settings, tables: &[TableName]) -> String {
    let list = tables.iter().map(TableName::quoted).collect::<Vec<_>>().join(", ");
    format!("CREATE PUBLICATION {} FOR TABLE {list}", quote(&settings.publication))
}

/// The tables to read, as the settings order them, else by name: as with Debezium the snapshot
/// reads them in this order. Creates the publication where it is missing.
async fn publication(catalog: &mut Catalog, settings: &Settings) -> Result<Vec<Published>, Fault> {
    let named = named_tables(settings)?;
    let name = &settings.publication;
    let published = match catalog.published(name).await? {
        Some(published) => published,
        None if named.is_empty() => {
            return Err(refused(format!(
                "publication \"{name}\" does not exist; name the `tables`, or run: CREATE \
                 PUBLICATION {} FOR TABLE SCHEMA.TABLE",
                quote(name)
            )));
        }
        None => {
            let sql = create_publication(settings, &named);
            catalog.query(&format!("cannot create the publication with {sql}"), &sql).await?;
            tracing::info!(publication = name, "publication created");
            catalog.published(name).await?.unwrap_or_default()
        }
    };
    if let Some(fix) = missing_tables(settings, &named, &published) {
        return Err(refused(fix));
    }
    let place = |p: &Published| named.iter().position(|name| *name == p.name);
    let mut tables = published;
    tables.retain(|p| named.is_empty() || place(p).is_some());
    tables.sort_by_key(place);
    warn_of_shared_topics(settings, &tables);
    Ok(tables)
}

/// Names that differ only in characters that topics cannot have lead to one topic, as in Debezium.
fn warn_of_shared_topics(settings: &Settings, tables: &[Published]) {
    let mut topics = std::collections::HashMap::new();
    for table in tables {
        let topic = crate::table::topic(&settings.topic_prefix, &table.name);
        if let Some(other) = topics.insert(topic.clone(), &table.name) {
            let (one, two) = (other.to_string(), table.name.to_string());
            tracing::warn!(topic, one, two, "two tables share a topic; their keys may collide");
        }
    }
}

/// What a publication lacks, with the statement that adds it.
pub(crate) fn missing_tables(
    settings: &Settings,
    named: &[TableName],
    published: &[Published],
) -> Option<String> {
    let lacks = |t: &&TableName| !published.iter().any(|p| p.name == **t);
    let missing: Vec<_> = named.iter().filter(lacks).map(TableName::quoted).collect();
    let (name, list) = (&settings.publication, missing.join(", "));
    let alter = format!("ALTER PUBLICATION {} ADD TABLE", quote(name));
    if named.is_empty() && published.is_empty() {
        return Some(format!("publication \"{name}\" holds no table; run: {alter} SCHEMA.TABLE"));
    }
    (!missing.is_empty())
        .then(|| format!("publication \"{name}\" does not contain {list}; run: {alter} {list}"))
}

/// A slot by name.
pub(crate) async fn slot(catalog: &mut Catalog, name: &str) -> Result<Option<Slot>, Fault> {
    let sql = format!(
        "SELECT coalesce(plugin, '') = 'pgoutput', slot_type = 'logical', \
         coalesce(database, '') = current_database(), active_pid, confirmed_flush_lsn, \
         coalesce(wal_status, '') = 'lost' \
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
        escape_literal(name)
    );
    let rows = catalog.query("cannot read the replication slots", &sql).await?;
    Ok(rows.first().map(|row| {
        let is = |i| text(row, i) == "t";
        let usable = match (is(0), is(1), is(2)) {
            (true, true, true) => Ok(()),
            (_, false, _) => Err("is a physical slot".to_owned()),
            (_, _, false) => Err("belongs to another database".to_owned()),
            _ => Err("uses another plugin than pgoutput".to_owned()),
        };
        Slot {
            usable,
            active_pid: text(row, 3).parse().ok(),
            confirmed: Lsn::parse(text(row, 4)),
            lost: is(5),
        }
    }))
}

/// The slot, once nobody reads it. The server may need a moment to notice that its last reader,
/// perhaps ourselves, is gone.
async fn free_slot(catalog: &mut Catalog, name: &str) -> Result<Option<Slot>, Fault> {
    let since = tokio::time::Instant::now();
    loop {
        let slot = slot(catalog, name).await?;
        let Some(found) = &slot else { return Ok(None) };
        if let Err(why) = &found.usable {
            return Err(refused(format!("slot \"{name}\" {why}; choose another name for `slot`")));
        }
        let Some(pid) = found.active_pid else { return Ok(slot) };
        if since.elapsed() > SLOT_WAIT {
            return Err(Fault::new(
                FaultKind::SourceUnavailable,
                format!(
                    "slot \"{name}\" is held by another reader (server process {pid}); stop that \
                     one, or give this pipeline a `slot` of its own"
                ),
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What to do at the start.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Snapshot,
    Stream { at: Position, assigned: bool },
    NewSlot,
    Completed,
}

/// | checkpoint | slot | snapshot setting | what is done |
/// |---|---|---|---|
/// | none | missing | not `never` | snapshot |
/// | none | there | `initial`, `initial_only` | refused: it may be another reader's |
/// | none | there | `always`, `when_needed` | snapshot, and the slot is taken over |
/// | none | there | `never` | stream from where the slot stands |
/// | none | missing | `never` | new slot, stream from now |
/// | snapshot cut short | any | any | snapshot again |
/// | there | any | `always` | snapshot again |
/// | there | any | `initial_only` | completed |
/// | there | fits | others | stream from the checkpoint |
/// | there | does not fit | `when_needed` | snapshot again |
/// | there | does not fit | others | our place is lost |
fn decide(
    settings: &Settings,
    checkpoint: Option<(Position, Option<State>)>,
    server: &State,
    slot: Option<&Slot>,
    end: Lsn,
) -> Result<Decision, Fault> {
    let mode = settings.snapshot;
    let Some((at, stored)) = checkpoint else {
        if slot.is_some() && matches!(mode, Snapshot::Initial | Snapshot::InitialOnly) {
            return Err(refused(foreign(&settings.slot)));
        }
        return Ok(match (mode, slot.and_then(|s| s.confirmed)) {
            (Snapshot::Never, Some(Lsn(confirmed))) => {
                Decision::Stream { at: Position::new(confirmed, 0), assigned: true }
            }
            (Snapshot::Never, None) => Decision::NewSlot,
            _ => Decision::Snapshot,
        });
    };
    if stored.as_ref().is_some_and(|s| !s.snapshot_done) || mode == Snapshot::Always {
        return Ok(Decision::Snapshot);
    }
    if mode == Snapshot::InitialOnly {
        return Ok(Decision::Completed);
    }
    match fits(settings, at, stored.as_ref(), server, slot, end) {
        Ok(()) => Ok(Decision::Stream { at, assigned: false }),
        Err(why) if mode == Snapshot::WhenNeeded => {
            tracing::warn!(why, "our place in the log is lost: the tables are read again");
            Ok(Decision::Snapshot)
        }
        Err(why) => {
            let advice = lost_advice(&settings.slot);
            Err(Fault::new(FaultKind::SourceLost, format!("{why}: {advice}")))
        }
    }
}

/// A slot that we know nothing of: reading it would move the place of whoever owns it.
fn foreign(slot: &str) -> String {
    format!(
        "slot \"{slot}\" is there, but no checkpoint of ours: it may be another reader's, or left \
         by a start that was cut short; give this pipeline a `slot` of its own, or drop it with \
         SELECT pg_drop_replication_slot({}), or take it over: `snapshot: when_needed` reads the \
         tables first, `snapshot: never` goes on where it stands",
        escape_literal(slot)
    )
}

/// Whether the stream can go on at the checkpoint; why not.
fn fits(
    settings: &Settings,
    at: Position,
    stored: Option<&State>,
    server: &State,
    slot: Option<&Slot>,
    end: Lsn,
) -> Result<(), String> {
    let place = Lsn(at.major);
    if let Some(stored) = stored {
        if stored.system_id != server.system_id {
            let (was, is) = (&stored.system_id, &server.system_id);
            return Err(format!("the checkpoint is of another server (system id {was}, now {is})"));
        }
        if stored.timeline != server.timeline {
            let (was, is) = (stored.timeline, server.timeline);
            return Err(format!("the server failed over (timeline {was}, now {is})"));
        }
        if stored.slot != settings.slot {
            return Err(format!("the checkpoint is of slot \"{}\"", stored.slot));
        }
    }
    match slot {
        None => Err(format!("slot \"{}\" does not exist any more", settings.slot)),
        Some(slot) if slot.lost => {
            Err("the slot was invalidated: it kept more log than max_slot_wal_keep_size".into())
        }
        Some(Slot { confirmed: Some(confirmed), .. }) if *confirmed > place => {
            Err(format!("the slot is at {confirmed}, ahead of the checkpoint at {place}"))
        }
        Some(_) if place > end => {
            Err(format!("the server's log ends at {end}, before the checkpoint at {place}"))
        }
        Some(_) => Ok(()),
    }
}

/// Exports a snapshot that fits our slot: with the slot's creation, or, where the slot is there
/// already, with a temporary slot beside it. Reading ours from the temporary one's consistent
/// point on is exact, so a slot is never dropped for it; only one that is lost.
async fn export(
    replication: &mut Session,
    settings: &Settings,
    version: u32,
    slot: Option<Slot>,
) -> Result<Export, Fault> {
    let name = &settings.slot;
    let keep = match slot {
        Some(slot) if slot.lost => {
            let sql = format!("DROP_REPLICATION_SLOT {}", quote(name));
            replication.query("cannot drop the lost slot", &sql).await?;
            false
        }
        other => other.is_some(),
    };
    if keep {
        let beside = format!("wasmgate_snapshot_{}", std::process::id());
        let beside = format!("{beside}_{}", crate::assemble::now_us());
        return create_slot(replication, &beside, version, "TEMPORARY ", true).await;
    }
    let export = create_slot(replication, name, version, "", true).await?;
    tracing::info!(slot = name, "replication slot created");
    Ok(export)
}

async fn create_slot(
    replication: &mut Session,
    name: &str,
    version: u32,
    temporary: &str,
    exported: bool,
) -> Result<Export, Fault> {
    let option = match (exported, version >= 150_000) {
        (true, true) => "(SNAPSHOT 'export')",
        (true, false) => "EXPORT_SNAPSHOT",
        (false, true) => "(SNAPSHOT 'nothing')",
        (false, false) => "NOEXPORT_SNAPSHOT",
    };
    let sql =
        format!("CREATE_REPLICATION_SLOT {} {temporary}LOGICAL pgoutput {option}", quote(name));
    let doing = format!("cannot create slot \"{name}\"");
    let rows = replication.query(&doing, &sql).await?;
    let row = rows.first().ok_or_else(|| protocol("no slot was created"))?;
    let Lsn(consistent_point) =
        Lsn::parse(text(row, 1)).ok_or_else(|| protocol("the new slot has no consistent point"))?;
    Ok(Export {
        name: text(row, 2).to_owned(),
        consistent_point,
        temporary_slot: (!temporary.is_empty()).then(|| name.to_owned()),
    })
}
