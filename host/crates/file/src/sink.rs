//! The file sink: one line per record, fdatasynced before it counts as durable.

mod files;
mod lines;

use async_trait::async_trait;
use wasmgate_connector::{Finding, Sink, SinkConnector};
use wasmgate_model::{Fault, FaultKind};

use self::files::{OpenFile, Topics};
use self::lines::{PerTopic, Together};
use crate::disk::{check_dir, check_file};
use crate::settings::{FileSinkSettings, Target};
use crate::worker::WorkerSink;

pub(crate) use self::lines::unencodable;

/// Files open at any moment; with more topics those used longest ago are synced and closed.
const OPEN_FILES: usize = 256;

/// A configured file sink.
#[derive(Debug, Clone)]
pub struct FileSink {
    settings: FileSinkSettings,
}

impl FileSink {
    /// A sink with these settings; nothing is touched before it is opened.
    #[must_use]
    pub fn new(settings: FileSinkSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl SinkConnector for FileSink {
    fn kind(&self) -> &'static str {
        "file"
    }

    async fn check(&self) -> Vec<Finding> {
        vec![match &self.settings.target {
            Target::Dir(dir) => check_dir(dir),
            Target::Path(path) => check_file(path),
        }]
    }

    async fn open(&self) -> Result<Box<dyn Sink>, Fault> {
        let settings = self.settings.clone();
        let opened = tokio::task::spawn_blocking(move || start(settings)).await;
        let sink = opened.map_err(|cause| {
            Fault::new(FaultKind::Internal, "opening the file sink panicked").because(cause)
        })??;
        Ok(Box::new(sink))
    }
}

fn start(FileSinkSettings { target, json }: FileSinkSettings) -> Result<WorkerSink, Fault> {
    match target {
        Target::Dir(dir) => WorkerSink::start(PerTopic::new(json), Topics::open(dir)?),
        Target::Path(path) => WorkerSink::start(Together::new(json), OpenFile::open(&path)?),
    }
}

#[cfg(test)]
mod tests;
