//! Blocking snapshots: whole tables as they are, while the stream waits. The stream first comes to
//! the end of the log; there views of one point are opened, the stream tells what stands before
//! that point and stops, the tables are read, and it goes on. So every row is as new as what the
//! stream told of it, and nothing that the stream told is read twice as something older.

use std::sync::Arc;
use std::time::Duration;

use wasmgate_model::Fault;
use wasmgate_replication::TableItem;

use super::{Beside, Own};
use crate::assemble::{Assembler, now_us};
use crate::catalog::{self, TableName};
use crate::connect::Session;
use crate::fault::protocol;
use crate::gtid::GtidSet;
use crate::prepare::status;
use crate::snapshot::{self, Copy, Events, Planned, Planner, hand_over, size};
use crate::state::Place;
use crate::stream::Stream;

/// Before views are opened again that did not see all: they are connections of their own, and a
/// commit that waits for a replica of the server may take seconds.
const AGAIN: Duration = Duration::from_millis(50);

/// A blocking snapshot that waits for the stream.
pub(super) struct Blocking {
    /// `None`: the stream has to come to the end of the log first.
    views: Option<Views>,
    /// The stream has told all that there was once it is here.
    high: Place,
}

/// Views of one point of the log.
struct Views {
    sessions: Vec<Session>,
    /// What they see; nothing where transactions have no names.
    sees: GtidSet,
}

impl Blocking {
    /// Whether the stream is as far as the views are.
    pub(super) fn is_reached(&self, stream: &Stream) -> bool {
        if let Some(Views { sees: sees @ GtidSet::MySql(_), .. }) = &self.views
            && sees.is_subset(&told(stream))
        {
            return true;
        }
        self.high <= *stream.read_to()
    }
}

/// The transactions that the stream has told. Prepared ones are executed for the server already.
fn told(stream: &Stream) -> GtidSet {
    let mut told = stream.executed.clone();
    stream.waiting.values().for_each(|prepared| told.add(&prepared.gtid));
    told
}

impl Views {
    /// Whether they see everything that the stream has told: it may have told a transaction that
    /// was in the log and not to be seen yet.
    fn see_all(&self, high: &Place, stream: &Stream) -> bool {
        match &self.sees {
            GtidSet::MySql(_) => told(stream).is_subset(&self.sees),
            GtidSet::MariaDb(_) | GtidSet::None => stream.place <= *high,
        }
    }
}

impl Beside {
    /// Lets the stream come to the end of the log, so that no view is held open meanwhile.
    pub(super) async fn begin_blocking(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        let high = status(stream.session().await?, self.own.server.maria).await?;
        self.own.blocking = Some(Box::new(Blocking { views: None, high }));
        Ok(())
    }

    async fn open_views(&mut self) -> Result<(), Fault> {
        let (mut sessions, Own { settings, connector, server, .. }) = (Vec::new(), &self.own);
        let seen = snapshot::begin(&mut sessions, settings, connector, server).await?;
        let views = Some(Views { sessions, sees: seen.executed });
        self.own.blocking = Some(Box::new(Blocking { views, high: seen.place }));
        Ok(())
    }

    /// Opens the views, or reads the tables: the stream has come far enough.
    pub(super) async fn copy_blocking(
        &mut self,
        stream: &mut Stream,
        out: &mut Assembler,
        events: &Events,
    ) -> Result<(), Fault> {
        let Some(blocking) = self.own.blocking.take() else { return Ok(()) };
        let Blocking { views, high } = *blocking;
        if views.as_ref().is_some_and(|views| !views.see_all(&high, stream)) {
            drop(views);
            tokio::time::sleep(AGAIN).await;
            return self.open_views().await;
        }
        let Some(Views { mut sessions, .. }) = views else { return self.open_views().await };
        let Some(item) = self.chunks.work.queue.first() else { return Ok(()) };
        self.own.status.phase("snapshot");
        let asked = item.tables.clone();
        let tables = self.plan_blocking(&asked, &mut sessions, stream, out).await?;
        sessions.truncate(tables.iter().map(|t| t.pieces.len()).sum::<usize>().max(1));
        // Rows of one delivery are in no order but by position: what the stream told goes first.
        let state = stream.state(out);
        if out.has_rows() {
            hand_over(out, Arc::clone(&state), events).await?;
        }
        let (place, time_us, status) = (&stream.place, now_us() / 1000 * 1000, &*self.own.status);
        let notifier = &mut self.chunks.notifier;
        let out_ = (&mut *out, events, state);
        let copy = Copy { sessions, tables, place, time_us, out: out_, status, notifier };
        let copied = copy.run().await;
        stream.next_major = stream.next_major.max(out.place().major);
        copied?;
        if !self.chunks.work.queue.is_empty() {
            self.chunks.work.queue.remove(0);
        }
        stream.work = self.chunks.work.stored();
        let state = stream.state(out);
        hand_over(out, state, events).await?;
        self.own.news = false;
        Ok(())
    }

    /// How the tables are read; those that are held back, or gone, are not.
    async fn plan_blocking(
        &mut self,
        asked: &[TableItem],
        sessions: &mut [Session],
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<Vec<Planned>, Fault> {
        let (threads, maria) = (sessions.len(), self.own.server.maria);
        let session = sessions.first_mut().ok_or_else(|| protocol("no connection"))?;
        let (naming, status) = (&mut stream.naming, &*self.own.status);
        let mut planner = Planner { session, threads, maria, naming, status };
        let mut tables = Vec::new();
        for item in asked {
            let name: TableName = (item.schema.clone(), item.table.clone());
            let found = catalog::table(planner.session, maria, &name).await?;
            let Some(definition) = found.filter(|_| !out.is_held(&name)) else { continue };
            let (rows, _) = size(planner.session, &name).await?;
            let statement = item.condition.as_deref();
            let planned = planner.table(&name, &definition, rows, statement).await?;
            if !out.holds(&planned.table, out.place())? {
                tables.push(planned);
            }
        }
        Ok(tables)
    }
}
