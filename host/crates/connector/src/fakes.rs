//! The trivial members of each family, for tests of everything else: a scripted source, sinks and
//! dead letters that remember and can be told to fail, a store in memory, closures as stages.
//!
//! Every fake has a log and `wait_until(condition)`: a test waits for what it is about, it never
//! sleeps. A condition that does not come true within [`PATIENCE`] panics with the log.

mod dead_letters;
mod logbook;
mod policy;
mod rows;
mod sink;
mod source;
mod stage;
mod store;

pub use dead_letters::{FakeDeadLetters, LetterLog, SeenLetter};
pub use logbook::PATIENCE;
pub use policy::FakePolicy;
pub use rows::{KeyValue, delivery, documents, number_schema, numbers};
pub use sink::{FakeSink, SinkLog, SinkRow};
pub use source::{FakeSource, SourceLog, Step};
pub use stage::{FnModule, fn_module};
pub use store::{MemoryStore, StoreLog};
