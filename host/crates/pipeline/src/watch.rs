//! What a lane keeps an eye on while it works: whether the session is over, and how much its
//! modules hand over for one delivery.

use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmgate_connector::{Emission, StageOutput};
use wasmgate_model::{Batch, Column, Fault, FaultKind, Values};

/// Memory that modules may make the host hold for one delivery: what they write and emit, and what
/// the host needs around it.
pub(crate) const MADE_MAX: usize = 64 << 20;
/// Of one emission: the batch that it becomes, and its small allocations.
const EMISSION: usize = size_of::<Batch>() + 1024;
/// Of one record of an emission: its place, times and key.
const RECORD: usize = 64;
/// Of one column, reject or removal.
const PIECE: usize = 64;

/// Passed down to where modules are called.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    made: usize,
}

impl Watch {
    pub(crate) fn new(stop: Arc<AtomicBool>) -> Self {
        Self { stop, made: 0 }
    }

    /// Starts counting for another delivery.
    pub(crate) fn begin(&mut self) {
        self.made = 0;
    }

    /// What modules handed over for this delivery, in bytes.
    pub(crate) fn made(&self) -> usize {
        self.made
    }

    /// # Errors
    /// The session is over: nobody waits for what the lane does.
    pub(crate) fn go_on(&self) -> Result<(), Fault> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Fault::new(FaultKind::Stopped, "the session ended while a lane worked")),
            false => Ok(()),
        }
    }

    /// Whether so many bytes more are within [`MADE_MAX`]; they are counted then.
    pub(crate) fn takes(&mut self, bytes: usize) -> bool {
        let takes = self.made.saturating_add(bytes) <= MADE_MAX;
        if takes {
            self.made += bytes;
        }
        takes
    }

    /// Counts an answer.
    ///
    /// # Errors
    /// It does not fit beside what was handed over for the same delivery before.
    pub(crate) fn count(&mut self, output: &StageOutput) -> Result<(), Fault> {
        let bytes = weight(output);
        if self.takes(bytes) {
            return Ok(());
        }
        let what = format!(
            "the answer takes {bytes} bytes on the host, beside {} of the same delivery; expected \
             {MADE_MAX} at most: emit and write less, or lower batch.rows",
            self.made
        );
        Err(Fault::new(FaultKind::ModuleLimit, what))
    }
}

/// Bytes that an answer takes on the host.
fn weight(output: &StageOutput) -> usize {
    let columns: usize = output.columns.iter().map(column).sum();
    let rejects = output.rejects.len() * PIECE;
    let fields = output.removals.iter().flat_map(|(_, fields)| fields);
    let removals = output.removals.len() * PIECE + fields.map(|f| f.len() + PIECE).sum::<usize>();
    columns + rejects + removals + output.extra.iter().map(emission).sum::<usize>()
}

fn emission(emission: &Emission) -> usize {
    let names: usize = emission.fields.iter().map(|f| f.name.len() + PIECE).sum();
    let columns: usize = emission.columns.iter().map(column).sum();
    EMISSION + emission.topic.len() + names + emission.parents.len() * RECORD + columns
}

fn column(column: &Column) -> usize {
    let values = match &column.values {
        Values::Booleans(v) => v.len(),
        Values::Ints(v) => v.len() * 8,
        Values::Floats(v) => v.len() * 8,
        Values::Texts(b) | Values::Blobs(b) => b.data.len() + b.len() * 4,
    };
    PIECE + values + (column.nulls.len() + column.absent.len()) * 4
}
