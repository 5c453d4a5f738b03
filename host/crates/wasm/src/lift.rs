//! A module's answer to `process`, checked against the contract before anybody uses it: counts,
//! lengths, kinds, ends on character boundaries, rows in range and in order. What passes here can
//! be indexed without looking.

mod form;

use std::collections::HashSet;

use wasmgate_connector::{Emission, Projection, StageOutput, StageReject, StageVerdict, Write};
use wasmgate_model::{Block, Column, Kind, Values};

use crate::bindings::types;
use crate::host::log::one_line;
use crate::lower::{is_int, is_text};
use crate::projection::{check_removed, lift_writes};

/// Bytes of a reject's code: it is a metric label.
const CODE_BYTES_MAX: usize = 64;
/// Bytes of a topic's name, as Kafka has it.
const TOPIC_BYTES_MAX: usize = 249;

/// Emissions of one call: each becomes a batch of its own.
const EMISSIONS_MAX: usize = 16_384;
/// Distinct topics of a call's emissions.
const EMITTED_TOPICS_MAX: usize = 1_024;

/// Lifts and checks an answer for a call of `rows` rows.
///
/// # Errors
/// What is wrong with it: a fragment that follows "the answer's".
pub(crate) fn output(
    from: types::Output,
    projection: &Projection,
    rows: u32,
) -> Result<StageOutput, String> {
    ascending(from.rejects.iter().map(|r| r.row), rows, "rejects")?;
    let rejects: Vec<StageReject> = from.rejects.into_iter().map(reject).collect();
    let columns = columns(from.columns, &projection.writes, (rows as usize, &rejects))?;
    ascending(from.removals.iter().map(|r| r.row), rows, "removals")?;
    for name in from.removals.iter().flat_map(|r| &r.fields) {
        check_removed(name).map_err(|wrong| format!("removals: {wrong}"))?;
    }
    few_emissions(&from.extra)?;
    Ok(StageOutput {
        columns,
        rejects,
        removals: from.removals.into_iter().map(|r| (r.row, r.fields)).collect(),
        extra: from.extra.into_iter().map(|e| emission(e, rows)).collect::<Result<_, _>>()?,
    })
}

fn columns(
    from: Vec<types::ColumnResult>,
    writes: &[Write],
    (rows, rejects): (usize, &[StageReject]),
) -> Result<Vec<Column>, String> {
    if from.len() != writes.len() {
        return Err(format!("columns: found {}, expected {}", from.len(), writes.len()));
    }
    from.into_iter()
        .zip(writes)
        .map(|(found, write)| {
            column(found, write.kind, rows)
                .and_then(|column| form::check(&column, write.kind, rejects).map(|()| column))
                .map_err(|wrong| format!("column {:?}: {wrong}", write.name))
        })
        .collect()
}

fn column(from: types::ColumnResult, kind: Kind, rows: usize) -> Result<Column, String> {
    let values = values(from.values, kind, rows)?;
    let limit = u32::try_from(rows).unwrap_or(u32::MAX);
    ascending(from.nulls.iter().copied(), limit, "nulls")?;
    ascending(from.absent.iter().copied(), limit, "absent")?;
    let mut nulls = from.nulls.iter();
    for row in &from.absent {
        if !nulls.any(|null| null == row) {
            return Err(format!("absent: row {row} is not in nulls"));
        }
    }
    Ok(Column { values, nulls: from.nulls, absent: from.absent })
}

fn values(from: types::ValuesResult, kind: Kind, rows: usize) -> Result<Values, String> {
    let found = match &from {
        types::ValuesResult::Booleans(_) => "booleans",
        types::ValuesResult::Ints(_) => "ints",
        types::ValuesResult::Floats(_) => "floats",
        types::ValuesResult::Texts(_) => "texts",
        types::ValuesResult::Block(_) => "block",
        types::ValuesResult::Blobs(_) => "blobs",
    };
    let values = match from {
        types::ValuesResult::Booleans(v) if kind == Kind::Boolean => Values::Booleans(v),
        types::ValuesResult::Ints(v) if is_int(kind) => Values::Ints(v),
        types::ValuesResult::Floats(v) if kind == Kind::Float => Values::Floats(v),
        types::ValuesResult::Texts(v) if is_text(kind) => Values::Texts(join(&v)?),
        types::ValuesResult::Block(b) if is_text(kind) => Values::Texts(block(b, rows)?),
        types::ValuesResult::Blobs(v) if kind == Kind::Bytes => Values::Blobs(join(&v)?),
        _ => return Err(format!("found {found} for a field of kind {}", kind.name())),
    };
    match values.len() {
        n if n == rows => Ok(values),
        n => Err(format!("found {n} values for {rows} rows")),
    }
}

/// A block's data is taken over as it is; its ends get their leading 0.
fn block(from: types::BlockResult, rows: usize) -> Result<Block, String> {
    let types::BlockResult { ends, data } = from;
    if ends.len() != rows {
        return Err(format!("found {} ends for {rows} rows", ends.len()));
    }
    let last = ends.last().copied().unwrap_or(0) as usize;
    let ordered = ends.is_sorted() && last <= data.len();
    if !ordered || !(data.is_ascii() || ends.iter().all(|e| data.is_char_boundary(*e as usize))) {
        return Err(wrong_ends(&ends, &data));
    }
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0);
    offsets.extend_from_slice(&ends);
    let mut data = data.into_bytes();
    data.truncate(last);
    Ok(Block { offsets, data })
}

/// The first of a block's ends that is wrong.
#[cold]
fn wrong_ends(ends: &[u32], data: &str) -> String {
    let mut last = 0;
    for (row, &end) in ends.iter().enumerate() {
        if end < last {
            return format!("ends: row {row} ends at {end}, before it starts at {last}");
        }
        if !data.is_char_boundary(end as usize) {
            let bytes = data.len();
            return format!(
                "ends: row {row} ends at {end}, which is past the data ({bytes} bytes) or inside \
                 a character"
            );
        }
        last = end;
    }
    "ends: they do not follow the data".to_owned()
}

fn join<T: AsRef<[u8]>>(from: &[T]) -> Result<Block, String> {
    let bytes: usize = from.iter().map(|v| v.as_ref().len()).sum();
    if u32::try_from(bytes).is_err() {
        return Err(format!("has {bytes} bytes, a column holds less than 4 GiB"));
    }
    let mut block = Block::default();
    block.offsets.reserve(from.len());
    block.data.reserve(bytes);
    for value in from {
        block.push(value.as_ref());
    }
    Ok(block)
}

/// Checks that rows ascend strictly and are of the call.
fn ascending(rows: impl Iterator<Item = u32>, limit: u32, what: &str) -> Result<(), String> {
    let mut last = None;
    for row in rows {
        if row >= limit {
            return Err(format!("{what}: there is no row {row}, the call has {limit} rows"));
        }
        if last.is_some_and(|last| row <= last) {
            return Err(format!("{what}: row {row} comes after row {}", last.unwrap_or(row)));
        }
        last = Some(row);
    }
    Ok(())
}

fn reject(from: types::Reject) -> StageReject {
    let verdict = match from.verdict {
        types::Verdict::Drop => StageVerdict::Drop,
        types::Verdict::DeadLetter(reason) => StageVerdict::DeadLetter {
            code: label(&reason.code),
            message: one_line(&reason.message),
        },
    };
    StageReject { row: from.row, verdict }
}

/// A code as a metric label can carry it.
fn label(code: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    match code {
        "" => "unspecified".into(),
        code => code.chars().take(CODE_BYTES_MAX).map(fits).collect(),
    }
}

/// Checks how many emissions there are before anything is made of them.
fn few_emissions(extra: &[types::Emission]) -> Result<(), String> {
    if extra.len() > EMISSIONS_MAX {
        return Err(format!(
            "extra records: found {} emissions, expected {EMISSIONS_MAX} at most: emit the records \
             of one topic together",
            extra.len()
        ));
    }
    if extra.len() > EMITTED_TOPICS_MAX {
        let topics: HashSet<&str> = extra.iter().map(|e| e.topic.as_str()).collect();
        if topics.len() > EMITTED_TOPICS_MAX {
            return Err(format!(
                "extra records: found {} topics, expected {EMITTED_TOPICS_MAX} at most",
                topics.len()
            ));
        }
    }
    Ok(())
}

fn emission(from: types::Emission, rows: u32) -> Result<Emission, String> {
    let topic = from.topic;
    if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || topic.contains(char::is_control) {
        return Err(format!(
            "extra records: their topic has {} bytes, expected 1 to {TOPIC_BYTES_MAX} without \
             control characters",
            topic.len()
        ));
    }
    let wrong = |wrong: String| format!("extra records for {topic:?}: {wrong}");
    if let Some(parent) = from.parents.iter().find(|parent| **parent >= rows) {
        let text = format!("there is no parent row {parent}, the call has {rows} rows");
        return Err(wrong(text));
    }
    let fields = lift_writes(from.fields).map_err(wrong)?;
    let columns = columns(from.columns, &fields, (from.parents.len(), &[])).map_err(wrong)?;
    Ok(Emission { parents: from.parents, fields, columns, topic })
}
