//! Views of one point of the log, on as many connections as there are.
//!
//! - MySQL with GTIDs: the executed transactions are the same before the first view is opened and
//!   after the last one, so no transaction came between.
//! - MariaDB tells of each view where in its log it stands; all stand at one place.
//! - Where that does not succeed writers are held up for a moment, as always on MySQL without
//!   GTIDs; where that is not allowed either, one connection reads alone.

use futures_util::future::try_join_all;
use wasmgate_model::{Fault, FaultKind};

use super::DOING;
use crate::catalog::Server;
use crate::connect::{Connector, Session, text};
use crate::fault::{Who, refused};
use crate::gtid::GtidSet;
use crate::prepare::{maria_position, status};
use crate::settings::{Settings, VIEW_TRIES};
use crate::state::{Place, State};

const START: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// What is in the way where writers cannot be held up.
fn locking(who: &Who) -> String {
    format!(
        "cannot hold writers up for the moment in which the snapshot begins; run: GRANT RELOAD ON \
         *.* TO '{}'@'%' (with gtid_mode = ON one connection needs no lock)",
        who.user
    )
}

/// Opens views of one point on `sessions`, which become as many as the settings say, and fewer
/// where the server does not let them; answers the state that the stream goes on with.
pub(crate) async fn begin(
    sessions: &mut Vec<Session>,
    settings: &Settings,
    connector: &Connector,
    server: &Server,
) -> Result<State, Fault> {
    while sessions.len() < settings.snapshots.threads {
        sessions.push(connector.connect().await?);
    }
    if let Some(first) = sessions.first_mut().filter(|_| !server.maria) {
        // How large tables are; older servers always tell what they know now.
        first.run(DOING, "SET SESSION information_schema_stats_expiry = 0").await.ok();
    }
    let level = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    for session in sessions.iter_mut() {
        session.run(DOING, level).await?;
    }
    let found = match lock_free(sessions, server, settings.view_tries).await? {
        Some(found) => found,
        None => match locked(sessions, server).await {
            Ok(found) => found,
            Err(fault) if fault.kind == FaultKind::SourceRefused && sessions.len() > 1 => {
                let (wanted, error) = (sessions.len(), fault.chain());
                tracing::warn!(
                    wanted,
                    error,
                    "no point of the log was found that all connections see: one reads alone; \
                     GRANT RELOAD ON *.* for more on a busy server"
                );
                sessions.truncate(1);
                match lock_free(sessions, server, VIEW_TRIES).await? {
                    Some(found) => found,
                    None => locked(sessions, server).await?,
                }
            }
            Err(fault) => return Err(fault),
        },
    };
    let (place, executed) = found;
    let server = server.identity.clone();
    Ok(State {
        snapshot_done: false,
        server,
        executed,
        place,
        prepared: Vec::new(),
        work: None,
        quarantine: Vec::new(),
    })
}

/// `None`: it did not succeed, or cannot.
async fn lock_free(
    sessions: &mut [Session],
    server: &Server,
    tries: usize,
) -> Result<Option<(Place, GtidSet)>, Fault> {
    if !server.maria && !server.gtids {
        return Ok(None);
    }
    for _ in 0..tries {
        let found = match server.maria {
            true => same_place(sessions).await?,
            false => between_transactions(sessions).await?,
        };
        if found.is_some() {
            return Ok(found);
        }
        try_join_all(sessions.iter_mut().map(|s| s.run(DOING, "ROLLBACK"))).await?;
    }
    Ok(None)
}

async fn open(sessions: &mut [Session]) -> Result<(), Fault> {
    try_join_all(sessions.iter_mut().map(|s| s.run(DOING, START))).await.map(drop)
}

/// The transactions before and after the views were opened are the same: none came between.
async fn between_transactions(sessions: &mut [Session]) -> Result<Option<(Place, GtidSet)>, Fault> {
    let before = executed(sessions).await?;
    open(sessions).await?;
    let Some(first) = sessions.first_mut() else { return Ok(None) };
    let place = status(first, false).await?;
    let after = executed(sessions).await?;
    Ok((before == after).then_some((place, after)))
}

async fn executed(sessions: &mut [Session]) -> Result<GtidSet, Fault> {
    let Some(first) = sessions.first_mut() else { return Ok(GtidSet::None) };
    let row = first.first(DOING, "SELECT @@GLOBAL.gtid_executed").await?.unwrap_or_default();
    GtidSet::mysql(text(&row, 0))
        .ok_or_else(|| refused("the server's gtid_executed cannot be read"))
}

/// MariaDB: all views stand at one place.
async fn same_place(sessions: &mut [Session]) -> Result<Option<(Place, GtidSet)>, Fault> {
    open(sessions).await?;
    let places = try_join_all(sessions.iter_mut().map(view_place)).await?;
    let mut places = places.into_iter();
    let Some(place) = places.next() else { return Ok(None) };
    if places.any(|other| other != place) {
        return Ok(None);
    }
    let Some(first) = sessions.first_mut() else { return Ok(None) };
    let executed = maria_position(first, &place).await?;
    Ok(Some((place, executed)))
}

/// MariaDB tells where in its log the view of a connection stands.
pub(crate) async fn view_place(session: &mut Session) -> Result<Place, Fault> {
    let rows = session.query(DOING, "SHOW STATUS LIKE 'binlog_snapshot_%'").await?;
    let mut place = Place::default();
    for row in &rows {
        match text(row, 0).to_ascii_lowercase().as_str() {
            "binlog_snapshot_file" => text(row, 1).clone_into(&mut place.file),
            "binlog_snapshot_position" => place.offset = text(row, 1).parse().unwrap_or(0),
            _ => {}
        }
    }
    if place.file.is_empty() {
        return Err(refused("the server does not tell where in its log a view stands"));
    }
    Ok(place)
}

/// Holds writers up for a moment: the set and the place belong to every view.
async fn locked(sessions: &mut [Session], server: &Server) -> Result<(Place, GtidSet), Fault> {
    if let Some(first) = sessions.first_mut() {
        let doing = locking(&first.who);
        first.run(&doing, "FLUSH TABLES WITH READ LOCK").await?;
    }
    open(sessions).await?;
    let Some(first) = sessions.first_mut() else {
        return Err(refused("no connection for the snapshot"));
    };
    let place = status(first, server.maria).await?;
    let executed = match (server.maria, server.gtids) {
        (true, _) => maria_position(first, &place).await?,
        (false, true) => executed(sessions).await?,
        (false, false) => GtidSet::None,
    };
    if let Some(first) = sessions.first_mut() {
        first.run(DOING, "UNLOCK TABLES").await?;
    }
    Ok((place, executed))
}
