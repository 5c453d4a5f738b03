//! A sink that counts and forgets: what a pipeline does without what a server does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use wasmgate_connector::{Durable, Finding, Sink, SinkConnector, WriteRequest, Written};
use wasmgate_model::Fault;

/// A sink that takes everything; clones count together.
#[derive(Debug, Clone, Default)]
pub struct BlackholeSink {
    records: Arc<AtomicU64>,
}

impl BlackholeSink {
    /// A sink that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records taken so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl SinkConnector for BlackholeSink {
    fn kind(&self) -> &'static str {
        "blackhole"
    }

    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }

    async fn open(&self) -> Result<Box<dyn Sink>, Fault> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for BlackholeSink {
    async fn write(&mut self, request: WriteRequest) -> Result<Durable, Fault> {
        let records = request.len() as u64;
        self.records.fetch_add(records, Ordering::Relaxed);
        Ok(Box::pin(std::future::ready(Ok(Written { records, bytes: 0, refused: Vec::new() }))))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use wasmgate_connector::{RowSet, fakes};

    use super::*;

    #[tokio::test]
    async fn counts_the_rows_that_are_meant() {
        let sink = BlackholeSink::new();
        let mut open = sink.open().await.unwrap();
        let batch = fakes::numbers(&fakes::number_schema(1, "t"), 0..5);
        let delivery = Arc::new(fakes::delivery("p", 0, vec![batch]));
        for (rows, count) in [(RowSet::All, 5), (RowSet::Some(vec![vec![1, 3]]), 2)] {
            let request = WriteRequest { delivery: Arc::clone(&delivery), rows };
            let written = open.write(request).await.unwrap().await.unwrap();
            assert_eq!(written.records, count);
        }
        assert_eq!(sink.records(), 7);
    }
}
