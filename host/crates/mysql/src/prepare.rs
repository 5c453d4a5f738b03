//! What has to be so before reading starts: the server, its log, and a checkpoint that belongs to
//! it. Nothing at the server is altered.

use std::collections::BTreeMap;

use wasmgate_model::{Fault, FaultKind, Position};

use crate::assemble::now_us;
use crate::catalog::{Charsets, Server, TableName, databases, server, table, tables};
use crate::connect::{Connector, Session, text};
use crate::definition::TableDefinition;
use crate::dump::Dump;
use crate::fault::{LOST, refused};
use crate::gtid::GtidSet;
use crate::history::History;
use crate::recover::unchanged;
use crate::settings::{Settings, Snapshot, Start as First};
use crate::state::{Place, State};

/// A server that is ready to be read.
pub(crate) struct Prepared {
    pub session: Session,
    pub server: Server,
    pub charsets: Charsets,
    pub start: Start,
}

/// How reading starts.
pub(crate) enum Start {
    /// Positions of the snapshot begin here.
    Snapshot(Position),
    Stream {
        at: Position,
        state: Box<State>,
        dump: Box<Dump>,
        history: History,
        assigned: bool,
    },
    /// The snapshot was all that was asked for, and it is done.
    Completed,
}

/// Connects and looks.
pub(crate) async fn prepare(
    connector: &Connector,
    settings: &Settings,
    checkpoint: Option<(Position, Option<State>)>,
) -> Result<Prepared, Fault> {
    let mut session = connector.connect().await?;
    let server = server(&mut session).await?;
    if let Some((what, fix)) = unfit(&server, settings).into_iter().next() {
        return Err(refused(format!("{what}; {fix}")));
    }
    if server.row_metadata != "FULL" {
        tracing::info!(
            "the server logs no names of columns; to be sure of them over changes of tables, run: \
             SET GLOBAL binlog_row_metadata = 'FULL'"
        );
    }
    let charsets = Charsets::read(&mut session).await?;
    let start = start(connector, &mut session, &server, settings, checkpoint).await?;
    Ok(Prepared { session, server, charsets, start })
}

/// What keeps the server's log from being read, each with what to do.
pub(crate) fn unfit(server: &Server, settings: &Settings) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut need = |good: bool, what: String, fix: &str| {
        if !good {
            found.push((what, fix.to_owned()));
        }
    };
    need(
        server.log_bin,
        "the server keeps no binary log (log_bin = OFF)".into(),
        "start it with --log-bin",
    );
    need(
        server.binlog_format == "ROW",
        format!("binlog_format is {}, so changes are not logged as rows", server.binlog_format),
        "run: SET GLOBAL binlog_format = 'ROW', and let clients connect again",
    );
    need(
        server.row_image == "FULL",
        format!("binlog_row_image is {}, so rows are logged in part", server.row_image),
        "run: SET GLOBAL binlog_row_image = 'FULL', and let clients connect again",
    );
    need(
        server.gtids || settings.gtid_sources.is_empty(),
        "transactions have no GTIDs at this server, so `filters.gtid_sources` cannot tell them \
         apart"
            .into(),
        "turn gtid_mode and enforce_gtid_consistency ON, or leave the filter out",
    );
    found
}

/// | checkpoint | snapshot setting | what is done |
/// |---|---|---|
/// | none | `never` | stream from now, or from the oldest change |
/// | none | others | snapshot |
/// | snapshot cut short | any | snapshot again |
/// | there | `always` | snapshot again |
/// | none | `recovery` | refused |
/// | there, no table changed since | `recovery` | definitions from the server, stream from it |
/// | there | `initial_only` | completed |
/// | there, the log reaches back to it | others | stream from the checkpoint |
/// | there, it does not | `when_needed` | snapshot again |
/// | there, it does not | others | our place is lost |
async fn start(
    connector: &Connector,
    session: &mut Session,
    server: &Server,
    settings: &Settings,
    checkpoint: Option<(Position, Option<State>)>,
) -> Result<Start, Fault> {
    let mode = settings.snapshot;
    let Some((at, stored)) = checkpoint else {
        if mode == Snapshot::Recovery {
            return Err(refused(
                "`snapshot: recovery` takes the definitions of the tables anew for a checkpoint, \
                 and there is none; set `snapshot: initial`",
            ));
        }
        if mode != Snapshot::Never {
            return Ok(Start::Snapshot(first_position()));
        }
        let at = first_position();
        let state = match settings.start {
            First::Latest => now(session, server).await?,
            First::Earliest => oldest(session, server).await?,
        };
        let dump = Box::new(Dump::start(connector, &state).await?);
        let history = fresh_history(session, server, settings, at).await?;
        return Ok(Start::Stream { at, state: Box::new(state), dump, history, assigned: true });
    };
    // Later than everything of the old checkpoint.
    let again = Position::new(at.major.saturating_add(1), 0);
    let Some(stored) = stored else {
        return Err(Fault::new(
            FaultKind::SourceLost,
            format!("the checkpoint is not of a MySQL source: {LOST}"),
        ));
    };
    if !stored.snapshot_done || mode == Snapshot::Always {
        return Ok(Start::Snapshot(again));
    }
    if mode == Snapshot::InitialOnly {
        return Ok(Start::Completed);
    }
    let mut stored = stored;
    let opened = match fits(session, server, settings, &mut stored).await? {
        Ok(()) => Dump::start(connector, &stored).await,
        Err(why) => Err(Fault::new(FaultKind::SourceLost, format!("{why}: {LOST}"))),
    };
    match opened {
        Ok(dump) => {
            let mut history = History::load(&settings.history_dir, &settings.topic_prefix, at)?;
            if mode == Snapshot::Recovery {
                history = recovered(connector, session, server, settings, (at, &stored)).await?;
            } else if history.is_empty() {
                tracing::warn!("the schema history is not there; the server's present is taken");
                history = fresh_history(session, server, settings, at).await?;
            }
            let dump = Box::new(dump);
            Ok(Start::Stream { at, state: Box::new(stored), dump, history, assigned: false })
        }
        Err(fault) if fault.kind == FaultKind::SourceLost && mode == Snapshot::WhenNeeded => {
            let why = fault.chain();
            tracing::warn!(why, "our place in the log is lost: the tables are read again");
            Ok(Start::Snapshot(again))
        }
        Err(fault) => Err(fault),
    }
}

/// The definitions as they are at the server, if they are those of the checkpoint too.
async fn recovered(
    connector: &Connector,
    session: &mut Session,
    server: &Server,
    settings: &Settings,
    (at, stored): (Position, &State),
) -> Result<History, Fault> {
    let defined = defined(session, server, settings).await?;
    // What was kept so far stays unless this goes well.
    let now = History::unsaved(defined.clone());
    unchanged(connector, settings, server, &now, stored).await?;
    tracing::info!("the definitions of the tables were taken from the server again");
    saved(settings, at, defined)
}

/// A number that no earlier start has reached.
fn first_position() -> Position {
    Position::new(u64::try_from(now_us()).unwrap_or(0), 0)
}

/// Whether the log reaches back to a state; why not.
async fn fits(
    session: &mut Session,
    server: &Server,
    settings: &Settings,
    stored: &mut State,
) -> Result<Result<(), String>, Fault> {
    if matches!(stored.executed, GtidSet::MariaDb(_)) != server.maria {
        return Ok(Err("the checkpoint is of another kind of server".into()));
    }
    match &stored.executed {
        GtidSet::MySql(_) if !server.gtids => {
            return Ok(Err("gtid_mode is off at the server, and was on before".into()));
        }
        GtidSet::MySql(_) => {}
        GtidSet::MariaDb(_) => return Ok(Ok(())),
        GtidSet::None if stored.server != server.identity => {
            let was = &stored.server;
            let is = &server.identity;
            return Ok(Err(format!("the checkpoint is of another server ({was}, now {is})")));
        }
        GtidSet::None => return Ok(Ok(())),
    }
    let sql = "SELECT @@GLOBAL.gtid_purged, @@GLOBAL.gtid_executed";
    let row = session.first("cannot read the server's transactions", sql).await?;
    let row = row.unwrap_or_default();
    let set = |i| GtidSet::mysql(text(&row, i)).unwrap_or(GtidSet::None);
    let wants = |source: &str| settings.gtid_sources.wants(source);
    if !set(0).of_sources(wants).is_subset(&stored.executed) {
        return Ok(Err("the server purged transactions that were not read yet".into()));
    }
    if !stored.executed.of_sources(wants).is_subset(&set(1)) {
        return Ok(Err("the server has not all transactions that were read already".into()));
    }
    // What nobody captures is not asked for where it is purged.
    stored.executed.extend(&set(0).of_sources(|source| !wants(source)));
    Ok(Ok(()))
}

/// The end of the log.
pub(crate) async fn status(session: &mut Session, maria: bool) -> Result<Place, Fault> {
    let doing = "cannot read the end of the log";
    let new = session.first(doing, "SHOW BINARY LOG STATUS").await;
    let row = match new {
        Ok(row) if !maria => row,
        // Servers before 8.2, and MariaDB before it took the new words.
        _ => session.first(doing, "SHOW MASTER STATUS").await?,
    };
    let row = row.ok_or_else(|| refused("the server keeps no binary log"))?;
    Ok(Place { file: text(&row, 0).to_owned(), offset: text(&row, 1).parse().unwrap_or(4) })
}

/// The state at the end of the log.
async fn now(session: &mut Session, server: &Server) -> Result<State, Fault> {
    let doing = "cannot read the server's transactions";
    let place = status(session, server.maria).await?;
    let executed = if server.maria {
        maria_position(session, &place).await?
    } else if server.gtids {
        let row = session.first(doing, "SELECT @@GLOBAL.gtid_executed").await?.unwrap_or_default();
        GtidSet::mysql(text(&row, 0)).unwrap_or(GtidSet::None)
    } else {
        GtidSet::None
    };
    let server = server.identity.clone();
    Ok(State {
        snapshot_done: true,
        server,
        executed,
        place,
        prepared: Vec::new(),
        work: None,
        quarantine: Vec::new(),
    })
}

/// The state before the oldest change that the server has.
async fn oldest(session: &mut Session, server: &Server) -> Result<State, Fault> {
    let doing = "cannot read the names of the log's files";
    let row = session.first(doing, "SHOW BINARY LOGS").await?.unwrap_or_default();
    let place = Place { file: text(&row, 0).to_owned(), offset: 4 };
    let executed = if server.maria {
        maria_position(session, &place).await?
    } else if server.gtids {
        let row = session.first(doing, "SELECT @@GLOBAL.gtid_purged").await?.unwrap_or_default();
        GtidSet::mysql(text(&row, 0)).unwrap_or(GtidSet::None)
    } else {
        GtidSet::None
    };
    let server = server.identity.clone();
    Ok(State {
        snapshot_done: true,
        server,
        executed,
        place,
        prepared: Vec::new(),
        work: None,
        quarantine: Vec::new(),
    })
}

/// MariaDB's transactions up to a place in a file.
pub(crate) async fn maria_position(session: &mut Session, place: &Place) -> Result<GtidSet, Fault> {
    let file = crate::connect::literal(&place.file);
    let sql = format!("SELECT BINLOG_GTID_POS({file}, {})", place.offset);
    let row = session.first("cannot read the server's transactions", &sql).await?;
    let row = row.unwrap_or_default();
    GtidSet::mariadb(text(&row, 0)).ok_or_else(|| refused("the server has no GTID position"))
}

/// The tables as they are now, as the beginning of the history.
pub(crate) async fn fresh_history(
    session: &mut Session,
    server: &Server,
    settings: &Settings,
    at: Position,
) -> Result<History, Fault> {
    let defined = defined(session, server, settings).await?;
    saved(settings, at, defined)
}

fn saved(settings: &Settings, at: Position, defined: Definitions) -> Result<History, Fault> {
    let mut history =
        History::load(&settings.history_dir, &settings.topic_prefix, Position::default())?;
    history.begin(at, defined)?;
    Ok(history)
}

type Definitions = BTreeMap<TableName, TableDefinition>;

/// The databases, and the tables that are captured, as they are now.
async fn defined(
    session: &mut Session,
    server: &Server,
    settings: &Settings,
) -> Result<Definitions, Fault> {
    let mut defined = Definitions::new();
    for (database, charset) in databases(session).await? {
        let definition = TableDefinition { charset, ..TableDefinition::default() };
        defined.insert((database, String::new()), definition);
    }
    for name in tables(session, settings).await? {
        if let Some(definition) = table(session, server.maria, &name).await? {
            defined.insert(name, definition);
        }
    }
    Ok(defined)
}
