//! The sample source: plausible records of the reference systems, without a server. A record is a
//! function of the seed and its number, so resuming is counting on.

mod draw;
mod orders;
mod telecom;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use wasmgate_codec::document::{self, InboundRecord};
use wasmgate_connector::{Finding, Source, SourceContext, SourceEvent, SourceHalves};
use wasmgate_model::{Fault, Partition, Position};

use self::orders::Orders;
use self::telecom::Telecom;
use crate::assemble::{Assembler, Form, Schemas};
use crate::settings::{SampleSettings, SampleSystem};
use crate::source::{Feed, Stopped, feed};

/// The first record happened at 2026-01-01T00:00:00Z, the others a millisecond after each other.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// A configured sample source.
#[derive(Debug)]
pub struct SampleSource {
    settings: SampleSettings,
    schemas: Arc<Schemas>,
}

impl SampleSource {
    /// A source with these settings.
    #[must_use]
    pub fn new(settings: SampleSettings) -> Self {
        Self { settings, schemas: Arc::default() }
    }
}

#[async_trait]
impl Source for SampleSource {
    fn kind(&self) -> &'static str {
        "sample"
    }

    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }

    async fn open(&self, context: SourceContext) -> Result<SourceHalves, Fault> {
        context.status.connected.store(true, Ordering::Relaxed);
        context.status.phase("streaming");
        let settings = self.settings.clone();
        let system = System::new(&settings);
        let schemas = Arc::clone(&self.schemas);
        let assembler = Assembler::new(context, Partition("sample".into()), schemas);
        let next = assembler.from().major;
        let maker = Maker { settings, system, assembler, next, record: Made::default() };
        feed("sample", move |feed| maker.run(&feed))
    }
}

/// One record, in buffers that are used again.
#[derive(Debug, Default)]
struct Made {
    key: Vec<u8>,
    /// Empty: a tombstone.
    value: Vec<u8>,
    time_ms: u64,
}

enum System {
    Orders(Orders),
    Telecom(Telecom),
}

impl System {
    fn new(settings: &SampleSettings) -> Self {
        let prefix = settings.topic_prefix.as_deref();
        match settings.system {
            SampleSystem::Orders => {
                Self::Orders(Orders::new(settings.seed, prefix.unwrap_or("orders_db")))
            }
            SampleSystem::Telecom => {
                Self::Telecom(Telecom::new(settings.seed, prefix.unwrap_or("telecom")))
            }
        }
    }

    fn topic(&self) -> &str {
        match self {
            Self::Orders(orders) => orders.topic(),
            Self::Telecom(telecom) => telecom.topic(),
        }
    }

    /// Makes record number `n`.
    fn make(&self, n: u64, record: &mut Made) {
        record.key.clear();
        record.value.clear();
        record.time_ms = EPOCH_MS.saturating_add(n);
        match self {
            Self::Orders(orders) => orders.make(n, record),
            Self::Telecom(telecom) => telecom.make(n, record),
        }
    }
}

/// Makes records at the wanted rate.
struct Maker {
    settings: SampleSettings,
    system: System,
    assembler: Assembler,
    /// Number of the next record, which is also how many there were.
    next: u64,
    record: Made,
}

impl Maker {
    fn run(mut self, feed: &Feed) -> Result<(), Stopped> {
        let first = self.next;
        let started = Instant::now();
        let mut since = started;
        loop {
            if self.settings.rows.is_some_and(|rows| self.next >= rows) {
                self.hand_over(feed)?;
                return feed.send(Ok(SourceEvent::Completed));
            }
            let done = self.next - first;
            let ahead = self.settings.rate.map_or(Duration::ZERO, |rate| {
                let due = Duration::from_secs_f64(done as f64 / f64::from(rate.get()));
                due.saturating_sub(started.elapsed())
            });
            if ahead.is_zero() {
                if !self.assembler.has_rows() {
                    since = Instant::now();
                }
                if let Err(fault) = self.add() {
                    return feed.send(Err(fault));
                }
                if self.assembler.is_full() {
                    self.hand_over(feed)?;
                }
                continue;
            }
            let left = self.assembler.context().limits.wait.saturating_sub(since.elapsed());
            if self.assembler.has_rows() && left < ahead {
                feed.pause(left)?;
                self.hand_over(feed)?;
            } else {
                feed.pause(ahead)?;
            }
        }
    }

    fn add(&mut self) -> Result<(), Fault> {
        self.system.make(self.next, &mut self.record);
        self.next += 1;
        let to = Position::new(self.next, 0);
        let Made { key, value, time_ms } = &self.record;
        let envelope = matches!(self.system, System::Orders(_));
        let weight = key.len() + value.len();
        let batch = self.assembler.batch(self.system.topic(), &Form::bare(envelope), weight, to)?;
        let inbound = InboundRecord {
            key: Some(key),
            value: Some(value.as_slice()).filter(|value| !value.is_empty()),
            time_us: i64::try_from(time_ms.saturating_mul(1000)).unwrap_or(i64::MAX),
            position: to,
            partition: -1,
        };
        document::append(batch, &inbound);
        Ok(())
    }

    fn hand_over(&mut self, feed: &Feed) -> Result<(), Stopped> {
        if self.assembler.has_rows() {
            feed.send(Ok(SourceEvent::Delivery(self.assembler.take())))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
