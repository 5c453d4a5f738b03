//! The table that a worker writes: made, altered and described, and bound to the shapes of the
//! records that come.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmgate_model::{Fault, FaultKind};

use crate::bind::{Binding, bind, keyed};
use crate::context::Context;
use crate::ddl;
use crate::mapping::Palette;
use crate::settings::TableSettings;
use crate::shape::Shape;
use crate::table::{Table, describe};

/// After so long the table is looked at again: somebody may have altered it.
const FRESH: Duration = Duration::from_secs(30);
/// Shapes kept; records of one table have few.
const SHAPES: usize = 16;

pub(crate) struct Target {
    database: String,
    pub(crate) name: String,
    table: Option<(Table, Instant)>,
    /// The sink has seen the table: that it is gone is somebody's doing.
    seen: bool,
    bindings: Vec<(Arc<Shape>, Arc<Binding>)>,
}

impl Target {
    pub(crate) fn new(database: &str, name: &str) -> Self {
        Self {
            database: database.to_owned(),
            name: name.to_owned(),
            table: None,
            seen: false,
            bindings: Vec::new(),
        }
    }

    /// `database.table`, for people.
    pub(crate) fn shown(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// How records of the shapes seen last are written.
    pub(crate) fn bindings(&self) -> &[(Arc<Shape>, Arc<Binding>)] {
        &self.bindings
    }

    /// Look again before the next insert.
    pub(crate) fn forget(&mut self) {
        self.table = None;
        self.bindings.clear();
    }

    /// How records of this shape are written; the table is made or altered where that is needed.
    ///
    /// # Errors
    /// The server does not answer or refuses; the table does not fit and may not be altered.
    pub(crate) async fn binding(
        &mut self,
        shape: &Arc<Shape>,
        context: &Context,
        settings: &TableSettings,
    ) -> Result<Arc<Binding>, Fault> {
        let fresh = self.table.as_ref().is_some_and(|(_, at)| at.elapsed() < FRESH);
        if !fresh {
            self.look(shape, context, settings).await?;
        }
        let known = self.bindings.iter().find(|(s, _)| Arc::ptr_eq(s, shape) || s == shape);
        if let Some((_, binding)) = known {
            return Ok(Arc::clone(binding));
        }
        if settings.evolve {
            self.alter(shape, context, settings).await?;
        }
        let Some((table, _)) = &self.table else {
            return Err(Fault::new(FaultKind::Internal, "the table was not described"));
        };
        let binding = Arc::new(bind(table, shape, settings)?);
        if self.bindings.len() >= SHAPES {
            self.bindings.remove(0);
        }
        self.bindings.push((Arc::clone(shape), Arc::clone(&binding)));
        Ok(binding)
    }

    fn failed(&self, what: &str) -> String {
        format!("cannot {what} table {}", self.shown())
    }

    async fn look(
        &mut self,
        shape: &Shape,
        context: &Context,
        settings: &TableSettings,
    ) -> Result<(), Fault> {
        let mut found = self.described(context).await?;
        if found.is_none() {
            self.make(shape, context, settings).await?;
            found = self.described(context).await?;
        }
        let Some(table) = found else {
            let message = self.failed("find") + " right after it was made";
            return Err(Fault::new(FaultKind::SinkUnavailable, message));
        };
        if self.table.as_ref().is_none_or(|(before, _)| *before != table) {
            self.bindings.clear();
            warn_of_window(&table, self.seen);
        }
        self.seen = true;
        self.table = Some((table, Instant::now()));
        Ok(())
    }

    async fn described(&self, context: &Context) -> Result<Option<Table>, Fault> {
        let found = describe(&context.hosts, &self.database, &self.name).await;
        found.map_err(|error| error.fault(self.failed("describe")))
    }

    async fn make(
        &self,
        shape: &Shape,
        context: &Context,
        settings: &TableSettings,
    ) -> Result<(), Fault> {
        let shown = self.shown();
        let refused = |message: String| Err(Fault::new(FaultKind::SinkRefused, message));
        if self.seen {
            return refused(format!(
                "table {shown} was dropped while it was written; create it again, or restart the \
                 pipeline to have it made without the rows that were in it"
            ));
        }
        if !settings.create {
            return refused(format!(
                "table {shown} does not exist; create it, or set `create: true`"
            ));
        }
        if let Some(column) = ddl::unsortable(shape, settings) {
            return refused(format!(
                "table {shown} would be sorted by `{column}`, which the rows do not have, or have \
                 masked: rows of different keys would count as one; name columns that tell rows \
                 apart in `table.order_by`, or create the table sorted by `_key`"
            ));
        }
        let (database, name) = (&self.database, &self.name);
        let Some(sql) = ddl::create(database, name, shape, settings, palette(context, settings))
        else {
            return refused(format!(
                "table {shown} does not exist, and documents do not say the types of their \
                 fields; create it"
            ));
        };
        tracing::info!(table = shown, "making the table");
        let made = context.hosts.execute(&sql).await;
        made.map_err(|error| error.fault(self.failed("create")))
    }

    async fn alter(
        &mut self,
        shape: &Shape,
        context: &Context,
        settings: &TableSettings,
    ) -> Result<(), Fault> {
        let Some((table, _)) = &self.table else { return Ok(()) };
        let mut wanted = shape.clone();
        if let Some(fields) = &mut wanted.fields {
            fields.retain(|field| settings.takes(&field.name));
        }
        let alterations = ddl::alterations(table, &wanted, palette(context, settings));
        if alterations.is_empty() {
            return Ok(());
        }
        keyed(table, shape, settings)?;
        let sql = format!("ALTER TABLE {} {}", table.path(), alterations.join(", "));
        tracing::info!(
            table = self.shown(),
            changes = alterations.join(", "),
            "altering the table"
        );
        let altered = context.hosts.execute(&sql).await;
        altered.map_err(|error| error.fault(self.failed("alter")))?;
        if let Some(table) = self.described(context).await? {
            self.bindings.clear();
            self.table = Some((table, Instant::now()));
        }
        Ok(())
    }

    /// Where it is, in SQL.
    pub(crate) fn path(&self) -> String {
        crate::table::path(&self.database, &self.name)
    }
}

fn palette(context: &Context, settings: &TableSettings) -> Palette {
    Palette {
        time: context.server.is_at_least(25, 6),
        json: settings.json && context.server.is_at_least(25, 3),
    }
}

/// Said once per table: what a crash may repeat, and how that is prevented.
fn warn_of_window(table: &Table, seen: bool) {
    if table.window == 0 && !seen && table.engine.ends_with("MergeTree") {
        tracing::warn!(
            table = format!("{}.{}", table.database, table.name),
            fix = table.set_window(),
            "the table remembers no inserts: one that is repeated after a crash or a time-out is \
             there twice until rows are merged"
        );
    }
}
