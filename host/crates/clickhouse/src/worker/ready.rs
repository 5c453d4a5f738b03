//! Batches to bytes that can be sent: encoded, named and compressed, on threads that may be busy
//! for a while.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use twox_hash::XxHash3_128;
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
    pub(super) block: Arc<[Bytes]>,
    /// As it is sent first.
    pub(super) body: Option<Body>,
    pub(super) lines: u32,
    pub(super) refused: Vec<Out>,
    pub(super) token: String,
}

/// What was begun and is told when it is there.
pub(super) type Begun<T> = oneshot::Receiver<Result<T, Fault>>;

/// A batch that is encoded before its turn, for a binding that may be another by then.
pub(super) struct Early {
    pub(super) binding: Arc<Binding>,
    pub(super) ready: Begun<Ready>,
}

/// Encodes by the bindings that were known when it was made.
pub(super) struct Encoder {
    pub(super) context: Arc<Context>,
    pub(super) settings: Arc<TableSettings>,
    pub(super) bindings: Vec<(Arc<Shape>, Arc<Binding>)>,
}

impl Ready {
    /// Bytes of the block.
    pub(super) fn bytes(&self) -> u64 {
        self.block.iter().map(|part| part.len() as u64).sum()
    }
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

/// Begins to encode. What is ready is told before all of it is compressed.
pub(super) fn begin(
    context: Arc<Context>,
    settings: Arc<TableSettings>,
    pieces: Arc<Vec<Piece>>,
    binding: &Arc<Binding>,
    (range, place): (Range, &Place),
) -> Begun<Ready> {
    let (binding, place) = (Arc::clone(binding), place.clone());
    let (told, begun) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let Encoded { block, lines, refused } = encode(&pieces, &binding, &settings);
        let block: Arc<[Bytes]> = block.into();
        let ready =
            Ready { block: Arc::clone(&block), body: None, lines, refused, token: String::new() };
        if lines == 0 {
            return tell(told, Ok(ready));
        }
        let token = token(&block, &context.name, &binding, range, &place);
        context.hosts.body(&block, |body| {
            tell(told, body.map(|body| Ready { body: Some(body), token, ..ready }));
        });
    });
    begun
}

/// Whoever gave up waiting needs nothing.
fn tell<T>(told: oneshot::Sender<Result<T, Fault>>, result: Result<T, Fault>) {
    drop(told.send(result));
}

/// Waits for what was begun.
pub(super) async fn end<T>(begun: Begun<T>) -> Result<T, Fault> {
    begun.await.unwrap_or_else(|_| {
        let message = "encoding panicked; please report it with the log's last lines";
        Err(Fault::new(FaultKind::Internal, message))
    })
}

/// The same bytes compressed once more.
pub(super) async fn again(context: &Arc<Context>, block: &Arc<[Bytes]>) -> Result<Body, Fault> {
    let (context, block) = (Arc::clone(context), Arc::clone(block));
    let (told, begun) = oneshot::channel();
    tokio::task::spawn_blocking(move || context.hosts.body(&block, |body| tell(told, body)));
    end(begun).await
}

/// Names an insert: pipeline, table, source range, version of what is sent, and the bytes. With the
/// bytes in it, a token never stands for other rows, whatever became of a source. Of the bytes 128
/// bits of XXH3 say enough: they tell two inserts of one range apart, and cost a tenth of SHA-256.
fn token(
    block: &[Bytes],
    pipeline: &str,
    binding: &Binding,
    range: Range,
    place: &Place,
) -> String {
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
    let mut bytes = XxHash3_128::new();
    block.iter().for_each(|part| bytes.write(part));
    hash.update(bytes.finish_128().to_le_bytes());
    hex::encode(hash.finalize())
}
