//! Blocking snapshots: whole tables as they are, while the stream waits. The tables are read in a
//! snapshot of the server; the stream first tells everything that the snapshot sees, then its rows
//! come, but for those that the stream changed later than that.

use std::collections::HashSet;
use std::sync::Arc;

use wasmgate_model::Fault;

use super::marks::Marker;
use super::visible::Visible;
use super::window::Tracked;
use super::{Beside, places};
use crate::assemble::Assembler;
use crate::catalog::Published;
use crate::connect::Purpose;
use crate::fault::protocol;
use crate::session::{Session, text};
use crate::snapshot::copied::Stamp;
use crate::snapshot::{self, Copy, DOING, Events, Planner, hand_over};
use crate::stream::Stream;
use wasmgate_replication::incremental::Key;

/// A blocking snapshot that waits for the stream.
pub(super) struct Blocking {
    window: u64,
    /// Holds the snapshot.
    session: Session,
    name: String,
    /// The stream has told all that the snapshot sees once it is here.
    pub(super) high: u64,
    tables: Vec<Table>,
}

struct Table {
    published: Published,
    condition: Option<String>,
    key: Vec<String>,
}

impl Beside {
    /// Takes the snapshot that will be read.
    pub(super) async fn begin_blocking(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        let Some(item) = self.chunks.work.queue.first() else { return Ok(()) };
        let publication = &self.own.settings.publication;
        let published = stream.catalog().published(publication).await?.unwrap_or_default();
        let mut tables = Vec::new();
        for table in &item.tables {
            let name = table.name();
            let found = published.iter().find(|p| p.name.to_string() == name);
            let Some(found) = found else { continue };
            let key = stream.catalog().table(found.oid, &[]).await?.key;
            let condition = table.condition.clone();
            tables.push(Table { published: found.clone(), condition, key });
        }
        let window = self.chunks.next_window();
        let tracked = tables.iter().map(|t| Tracked::new(t.published.name.clone(), t.key.clone()));
        stream.watch.open(window, tracked.collect());
        let mut session = self.own.connector.connect(Purpose::Query).await?;
        let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                   SELECT pg_export_snapshot(), pg_current_snapshot()";
        let rows = session.query(DOING, sql).await?;
        let row = rows.first().ok_or_else(|| protocol("no snapshot"))?;
        let name = text(row, 0).to_owned();
        let visible = Visible::parse(text(row, 1)).ok_or_else(|| protocol("an odd snapshot"))?;
        stream.watch.read(window, visible);
        let mut marker = Marker::new(&self.own.settings);
        let mut other = self.own.connector.connect(Purpose::Query).await?;
        marker.prepare(&mut other).await?;
        let high = marker.close(&mut other, None).await?;
        self.own.late_at = tokio::time::Instant::now() + super::NUDGE;
        self.own.blocking = Some(Box::new(Blocking { window, session, name, high, tables }));
        Ok(())
    }

    /// Copies the tables; the stream has told what the snapshot sees.
    pub(super) async fn copy_blocking(
        &mut self,
        stream: &mut Stream,
        out: &mut Assembler,
        events: &Events,
    ) -> Result<(), Fault> {
        let Some(blocking) = self.own.blocking.take() else { return Ok(()) };
        let Blocking { window, mut session, name, tables, .. } = *blocking;
        let window = stream.watch.windows.close(window);
        // What the stream changed cannot be told: another snapshot is taken.
        let Some(window) = window else { return self.begin_blocking(stream).await };
        self.status.phase("snapshot");
        let mut planner = Planner {
            session: &mut session,
            catalog: stream.catalog(),
            naming: &self.own.naming,
            settings: &self.own.settings,
            status: &self.status,
        };
        let mut planned = Vec::new();
        for (number, table) in tables.iter().enumerate() {
            let mut plan = planner.table(&table.published, table.condition.as_deref()).await?;
            if out.is_held(&plan.table.name) || out.hold_misfit(&plan.table, out.place())? {
                continue;
            }
            let stale: Option<HashSet<Key>> = window.stale_keys(number);
            match (stale, places(&plan.table, &table.key)) {
                (None, _) => plan.pieces.clear(),
                (Some(keys), Some(places)) if !keys.is_empty() => {
                    plan.without = Some(Arc::new((places, keys)));
                }
                _ => {}
            }
            planned.push(plan);
        }
        let stamp = Stamp::ask(&mut session, out.place().major).await?;
        let pieces: usize = planned.iter().map(|t| t.pieces.len()).sum();
        let mut sessions = vec![session];
        while sessions.len() < self.own.settings.snapshots.threads.min(pieces) {
            let mut session = self.own.connector.connect(Purpose::Query).await?;
            snapshot::begin(&mut session, &name).await?;
            sessions.push(session);
        }
        let notifier = &mut self.chunks.notifier;
        let tables = planned;
        Copy { sessions, tables, stamp, out: &mut *out, events, notifier }.run().await?;
        self.chunks.work.queue.remove(0);
        out.state().work = self.chunks.work.stored();
        hand_over(out, events).await?;
        self.status.phase("streaming");
        Ok(())
    }
}
