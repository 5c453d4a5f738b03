//! Batches to bytes that can be sent: encoded, named and compressed, on threads that may be busy
//! for a while.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use wasmgate_model::{Fault, FaultKind};

use super::insert::{Out, Place, Work};
use crate::bind::Binding;
use crate::client::Body;
use crate::context::Context;
use crate::encode::{Encoded, encode};
use crate::lane::Range;
use crate::piece::Piece;
use crate::settings::TableSettings;
use crate::shape::Shape;

/// An insert that can be sent.
pub(super) struct Ready {
    /// Plain, for what is sent again.
    pub(super) block: Bytes,
    /// As it is sent first.
    pub(super) body: Option<Body>,
    pub(super) lines: u32,
    pub(super) refused: Vec<Out>,
    pub(super) token: String,
}

/// A batch that is encoded before its turn, for a binding that may be another by then.
pub(super) struct Early {
    pub(super) binding: Arc<Binding>,
    pub(super) ready: JoinHandle<Result<Ready, Fault>>,
}

/// Encodes by the bindings that were known when it was made.
pub(super) struct Encoder {
    pub(super) context: Arc<Context>,
    pub(super) settings: Arc<TableSettings>,
    pub(super) bindings: Vec<(Arc<Shape>, Arc<Binding>)>,
}

impl Encoder {
    fn binding(&self, shape: &Arc<Shape>) -> Option<&Arc<Binding>> {
        let mut bindings = self.bindings.iter();
        let known = bindings.find(|(known, _)| Arc::ptr_eq(known, shape) || known == shape);
        known.map(|(_, binding)| binding)
    }

    pub(super) fn knows(&self, shape: &Arc<Shape>) -> bool {
        self.binding(shape).is_some()
    }

    /// Begins; `None`: records of this shape are not bound yet.
    pub(super) fn begin(&self, work: &Work) -> Option<Early> {
        let binding = self.binding(&work.shape)?;
        let (context, settings) = (Arc::clone(&self.context), Arc::clone(&self.settings));
        let pieces = Arc::clone(&work.pieces);
        Some(Early {
            ready: begin(context, settings, pieces, binding, (work.range, &work.place)),
            binding: Arc::clone(binding),
        })
    }
}

/// Begins to encode.
pub(super) fn begin(
    context: Arc<Context>,
    settings: Arc<TableSettings>,
    pieces: Arc<Vec<Piece>>,
    binding: &Arc<Binding>,
    (range, place): (Range, &Place),
) -> JoinHandle<Result<Ready, Fault>> {
    let (binding, place) = (Arc::clone(binding), place.clone());
    tokio::task::spawn_blocking(move || {
        let Encoded { block, lines, refused } = encode(&pieces, &binding, &settings);
        let mut ready = Ready { block, body: None, lines, refused, token: String::new() };
        if lines > 0 {
            ready.token = token(&ready.block, &context.name, &binding, range, &place);
            ready.body = Some(context.hosts.body(&ready.block)?);
        }
        Ok(ready)
    })
}

/// Waits for what was begun.
pub(super) async fn end<T>(begun: JoinHandle<Result<T, Fault>>) -> Result<T, Fault> {
    begun.await.unwrap_or_else(|error| {
        let message = "encoding panicked; please report it";
        Err(Fault::new(FaultKind::Internal, message).because(error))
    })
}

/// The same bytes compressed once more.
pub(super) async fn again(context: &Arc<Context>, block: &Bytes) -> Result<Body, Fault> {
    let (context, block) = (Arc::clone(context), block.clone());
    end(tokio::task::spawn_blocking(move || context.hosts.body(&block))).await
}

/// Names an insert: pipeline, table, source range, version of what is sent, and the bytes. With the
/// bytes in it, a token can never stand for other rows, whatever became of a source.
fn token(block: &[u8], pipeline: &str, binding: &Binding, range: Range, place: &Place) -> String {
    let mut hash = Sha256::new();
    for text in [pipeline, &binding.table, &*place.0, &*place.1] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    for position in [range.from, range.to] {
        hash.update(position.major.to_le_bytes());
        hash.update(position.minor.to_le_bytes());
    }
    hash.update(binding.version);
    hash.update(block);
    hex::encode(hash.finalize())
}
