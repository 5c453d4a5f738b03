//! The measured paths.

use std::hint::black_box;
use std::sync::Arc;

use wasmgate_bench_servers::records::{FRAUD, QUALITY, ROUTE, UNWRAP, document};
use wasmgate_codec::document::{InboundRecord, append};
use wasmgate_codec::encode::ValueWriter;
use wasmgate_codec::pgoutput::{Message, TupleValue, decode};
use wasmgate_codec::pgvalue::{ColumnType, push_text};
use wasmgate_codec::project;
use wasmgate_connector::Planner;
use wasmgate_model::{Batch, Column, Edits, Kind, Op, Payload, Position, Schema};
use wasmgate_wasm::Runtime;

use crate::rounds::{fastest, time};
use crate::workload::{self, insert};
use crate::{Problem, chain};

/// The chain of the measured paths: (module, configuration).
pub(crate) const FIVE: [(&str, &str); 5] = [
    ("unwrap", UNWRAP),
    ("quality-check", QUALITY),
    ("fraud-rule", FRAUD),
    ("route", ROUTE),
    ("identity", "{}"),
];

/// Stages alone, on rows that are there.
pub(crate) fn stages(
    runtime: &Runtime,
    stages: &[(&str, &str)],
    rows: usize,
) -> Result<f64, Problem> {
    let (plans, mut lane) = chain(runtime, stages)?;
    let types = workload::types();
    let schema = workload::schema(&types);
    let messages: Vec<_> = (0..rows).map(insert).collect();
    let mut batch = empty(&schema, plans.plan(&schema)?);
    fill(&mut batch, &types, &messages)?;
    project(&mut batch);
    let work = || {
        batch.edits = Edits::default();
        batch.select_all();
        let (done, spent) = time(|| lane.process(&mut batch));
        done?;
        let written = if stages.len() == FIVE.len() { 3 } else { batch.edits.written.len() };
        if batch.sel.len() != rows || batch.edits.written.len() != written {
            return Err(format!("{} of {rows} rows left the chain", batch.sel.len()).into());
        }
        Ok::<_, Problem>(spent)
    };
    fastest(rows, work)
}

/// JSON documents through three rules and out again.
pub(crate) fn documents(runtime: &Runtime, rows: usize) -> Result<f64, Problem> {
    let (plans, mut lane) =
        chain(runtime, &[("quality-check", QUALITY), ("fraud-rule", FRAUD), ("route", ROUTE)])?;
    let schema = Arc::new(Schema::open(1, "cdr".into(), false));
    let values: Vec<String> = (0..rows).map(document).collect();
    let mut batch = Batch::documents(Arc::clone(&schema), plans.plan(&schema)?);
    let (mut writer, mut out) = (ValueWriter::new(), Vec::new());
    let work = || {
        let (done, spent) = time(|| {
            batch.clear();
            for (n, value) in values.iter().enumerate() {
                let position = Position::new(n as u64 + 1, 0);
                let value = Some(value.as_bytes());
                append(
                    &mut batch,
                    &InboundRecord { key: None, value, time_us: 0, position, partition: -1 },
                );
            }
            project(&mut batch);
            lane.process(&mut batch)?;
            write(&mut writer, &batch, &mut out)
        });
        done?;
        if batch.sel.len() != rows {
            return Err(format!(
                "{} of {rows} records left: {:?}",
                batch.sel.len(),
                batch.rejects.first()
            )
            .into());
        }
        Ok::<_, Problem>(spent)
    };
    fastest(rows, work)
}

/// pgoutput bytes through five stages to flat rows.
pub(crate) fn rows(runtime: &Runtime, rows: usize) -> Result<f64, Problem> {
    let (plans, mut lane) = chain(runtime, &FIVE)?;
    let types = workload::types();
    let schema = workload::schema(&types);
    let messages: Vec<_> = (0..rows).map(insert).collect();
    let mut batch = empty(&schema, plans.plan(&schema)?);
    let (mut writer, mut out) = (ValueWriter::new(), Vec::new());
    let work = || {
        let (done, spent) = time(|| {
            fill(&mut batch, &types, &messages)?;
            project(&mut batch);
            lane.process(&mut batch)?;
            write(&mut writer, &batch, &mut out)
        });
        done?;
        Ok::<_, Problem>(spent)
    };
    fastest(rows, work)
}

fn empty(schema: &Arc<Schema>, plan: Arc<wasmgate_model::Plan>) -> Batch {
    Batch::rows(Arc::clone(schema), plan, vec![Column::new(Kind::Integer)])
}

fn fill(batch: &mut Batch, types: &[ColumnType], messages: &[Vec<u8>]) -> Result<(), Problem> {
    batch.clear();
    let Payload::Rows(rows) = &mut batch.payload else { return Err("not rows".into()) };
    for (n, message) in messages.iter().enumerate() {
        let Message::Insert { new, .. } = decode(message)? else {
            return Err("not an insert".into());
        };
        for ((column, ty), value) in rows.current.iter_mut().zip(types).zip(new.iter()) {
            match value {
                TupleValue::Text(text) => push_text(column, ty, text)?,
                _ => column.push_null(),
            }
        }
        rows.source.iter_mut().for_each(|c| c.push_int(n as i64));
        batch.ops.push(Op::Create);
        batch.times_us.push(0);
        batch.positions.push(Position::new(1, n as u64 + 1));
    }
    Ok(())
}

fn write(writer: &mut ValueWriter, batch: &Batch, out: &mut Vec<u8>) -> Result<(), Problem> {
    out.clear();
    let begun = writer.begin(batch);
    for i in 0..batch.sel.len() {
        begun.value(i, out)?;
    }
    black_box(out);
    Ok(())
}
