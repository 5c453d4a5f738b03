//! What the file, sample and console connectors are told: plain values, already checked by
//! whoever reads the configuration. Paths are used as given, relative to the working directory.

use std::path::PathBuf;
use std::sync::Arc;

use wasmgate_codec::document::Format;
use wasmgate_codec::encode::JsonOptions;

/// A file to read, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSourceSettings {
    pub path: PathBuf,
    /// What the values (and keys) are.
    pub format: Format,
    /// Given: every line is one bare document for this topic, without key. Not given: every line
    /// is `{"topic","key","value","headers","timestamp","partition"}`, as the file sink writes.
    pub topic: Option<Arc<str>>,
    /// Wait for more at the end of the file. Otherwise the source is completed there.
    pub follow: bool,
    /// A longer line becomes a dead letter with its first bytes. [`MAX_LINE`] by default.
    pub max_line: usize,
}

/// Default of [`FileSourceSettings::max_line`], in bytes.
pub const MAX_LINE: usize = 16 << 20;

impl FileSourceSettings {
    /// Lines of records in this file, to its end.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, format: Format) -> Self {
        Self { path: path.into(), format, topic: None, follow: false, max_line: MAX_LINE }
    }
}

/// Where a file sink writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One file per topic in this directory: `<topic>.jsonl`.
    Dir(PathBuf),
    /// Every topic in this file, in the order of the source.
    Path(PathBuf),
}

/// A file sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSinkSettings {
    pub target: Target,
    /// How records are written as JSON.
    pub json: JsonOptions,
}

/// Dead letters in files: `<dir>/<pipeline>.jsonl`, or `<dir>/<topic>.jsonl` where a policy chose
/// a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDeadLetterSettings {
    pub dir: PathBuf,
}

/// Whose records the sample source makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SampleSystem {
    /// Change envelopes of one table, `<prefix>.public.orders`; prefix `orders_db` by default.
    #[default]
    Orders,
    /// Call records as flat JSON of 20 fields, `<prefix>-cdr`; prefix `telecom` by default.
    Telecom,
}

/// A sample source. The same seed makes the same records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SampleSettings {
    pub system: SampleSystem,
    /// Rows per second; `None`: as fast as they are taken.
    pub rate: Option<std::num::NonZeroU32>,
    pub seed: u64,
    /// The source is completed after so many rows; `None`: never.
    pub rows: Option<u64>,
    /// First part of the topic, instead of the system's own.
    pub topic_prefix: Option<String>,
}
