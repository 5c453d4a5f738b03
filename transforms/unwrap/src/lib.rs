//! Debezium's ExtractNewRecordState: the flat row in place of the change envelope.
//!
//! `options` reads the configuration under Debezium's names, `additions` finds what
//! `add.fields` and `add.headers` name, `columns` writes. Here: which record becomes what.

mod additions;
mod columns;
mod options;
mod removals;

use wasmgate_sdk::prelude::*;

use additions::{Addition, Place};
use columns::{Plan, Problem};
use options::{Mode, Options};

/// What a record becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The row, with the added fields.
    Row { deleted: bool },
    /// An empty value in place of a delete.
    Emptied,
    /// A tombstone that stays one.
    Tombstone,
    /// Nothing: discarded or dead-lettered.
    Gone,
}

/// The stage.
pub struct Unwrap {
    options: Options,
    fields: Vec<Addition>,
    headers: Vec<Addition>,
    /// By schema id.
    plans: Vec<(u64, Plan)>,
}

impl Transform for Unwrap {
    type Config = Options;

    fn open(options: Options) -> Result<Self, String> {
        let fields =
            additions::parse("add.fields", &options.add_fields, &options.add_fields_prefix)?;
        let headers =
            additions::parse("add.headers", &options.add_headers, &options.add_headers_prefix)?;
        Ok(Self { options, fields, headers, plans: Vec::new() })
    }

    fn bind(&mut self, schema: &Schema) -> Result<Option<Projection>, String> {
        if !schema.envelope {
            return Ok(None);
        }
        let mut projection = Projection::new().row_shape().with_ops();
        let plan = Plan::new(self, schema, &mut projection);
        self.plans.retain(|(id, _)| *id != schema.id);
        self.plans.push((schema.id, plan));
        Ok(Some(projection))
    }

    fn process(&mut self, schema: u64, batch: &Batch) -> Result<Output, String> {
        let (_, plan) = self
            .plans
            .iter()
            .find(|(id, _)| *id == schema)
            .ok_or_else(|| format!("schema {schema} was not bound"))?;
        let mut output = Output::new();
        let forms = self.forms(plan, batch, &mut output)?;
        output.columns = plan.columns(batch, &forms)?;
        plan.remove_fields(batch, &forms, &mut output)?;
        Ok(output)
    }
}

impl Unwrap {
    /// What each record becomes; those that end here are rejected in `output`.
    fn forms(&self, plan: &Plan, batch: &Batch, output: &mut Output) -> Result<Vec<Form>, String> {
        let mut routes = plan.routes(batch)?;
        let mut forms = Vec::with_capacity(batch.rows as usize);
        for (row, op) in (0..batch.rows).zip(&batch.ops) {
            let problem = routes.as_mut().and_then(Iterator::next).and_then(unroutable);
            let mut form = self.form(*op, || plan.has_image(batch, row));
            match problem {
                _ if *op == Op::Message => {
                    output.dead_letter(row, "no-row", "a logical message has no row to unwrap");
                }
                Some((code, message)) if matches!(form, Form::Row { .. } | Form::Emptied) => {
                    output.dead_letter(row, code, message);
                    form = Form::Gone;
                }
                _ if form == Form::Gone => output.discard(row),
                _ => {}
            }
            forms.push(form);
        }
        Ok(forms)
    }

    fn form(&self, op: Op, has_image: impl FnOnce() -> bool) -> Form {
        match op {
            Op::Create | Op::Update | Op::Snapshot | Op::Append => Form::Row { deleted: false },
            Op::Tombstone if self.options.mode == Mode::RewriteWithTombstone => Form::Tombstone,
            Op::Tombstone | Op::Truncate | Op::Message => Form::Gone,
            Op::Delete => match self.options.mode {
                Mode::Drop => Form::Gone,
                // Debezium takes a delete without an old row for a truncate.
                _ if !has_image() => Form::Gone,
                Mode::Tombstone | Mode::DeleteToTombstone => Form::Emptied,
                Mode::Rewrite | Mode::RewriteWithTombstone => Form::Row { deleted: true },
            },
        }
    }
}

/// Why a record cannot be routed by this value, if so.
fn unroutable(route: Cell<&str>) -> Option<Problem> {
    match route {
        Cell::Value(json) if json.starts_with('"') => None,
        Cell::Null => None,
        Cell::Value(_) => Some(("route-not-text", "the field of route.by.field is not text")),
        Cell::Absent => Some(("route-missing", "the record has no field of route.by.field")),
    }
}

export_transform!(Unwrap);
