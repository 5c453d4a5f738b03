//! Dead letters in files: the record as the file sink writes it, from its original bytes, and
//! `"error"` with the reason beside it. The file source reads such a file as records again.
//!
//! ```text
//! {"topic","key","value","headers","timestamp",
//!  "error":{"stage","code","message","module":{"name","version","sha256"},"attempts",
//!           "pipeline","source","partition","position","at"}}
//! ```
//! `module` is there where a module decided; `position` is `major/minor`; `at` is in milliseconds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use wasmgate_connector::{
    DeadLetter, DeadLetterConnector, DeadLetterContext, DeadLetters, Finding,
};
use wasmgate_model::{Batch, Delivery, Fault, FaultKind};

use crate::assemble::now_us;
use crate::disk::{Appender, check_dir, file_name, refusal, sync};
use crate::output::write_original;
use crate::settings::FileDeadLetterSettings;

/// Files kept open; a policy may name a topic per record.
const OPEN_FILES: usize = 64;

/// A configured directory of dead letters.
#[derive(Debug, Clone)]
pub struct FileDeadLetters {
    settings: FileDeadLetterSettings,
}

impl FileDeadLetters {
    /// Dead letters with these settings; nothing is touched before they are opened.
    #[must_use]
    pub fn new(settings: FileDeadLetterSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl DeadLetterConnector for FileDeadLetters {
    fn kind(&self) -> &'static str {
        "file"
    }

    async fn check(&self) -> Vec<Finding> {
        vec![check_dir(&self.settings.dir)]
    }

    async fn open(&self) -> Result<Box<dyn DeadLetters>, Fault> {
        let dir = self.settings.dir.clone();
        std::fs::create_dir_all(&dir).map_err(|cause| refusal("be created", &dir, cause))?;
        Ok(Box::new(Letters { dir, files: HashMap::new() }))
    }
}

struct Letters {
    dir: PathBuf,
    files: HashMap<String, Arc<Appender>>,
}

#[async_trait]
impl DeadLetters for Letters {
    async fn write(
        &mut self,
        context: &DeadLetterContext,
        delivery: &Delivery,
        letters: &[DeadLetter],
    ) -> Result<(), Fault> {
        let mut lines: HashMap<&str, Vec<u8>> = HashMap::new();
        for letter in letters {
            let Some(batch) = delivery.batches.get(letter.batch) else { continue };
            let name = letter.topic.as_deref().unwrap_or(&context.pipeline);
            write_letter(lines.entry(name).or_default(), context, delivery, batch, letter);
        }
        for (name, lines) in lines {
            let known = self.files.get(name).cloned();
            let path = self.dir.join(file_of(name)?);
            let appended = tokio::task::spawn_blocking(move || append(known, &path, &lines)).await;
            let appender = appended.map_err(|cause| {
                Fault::new(FaultKind::Internal, "writing dead letters panicked").because(cause)
            });
            match appender.flatten() {
                Ok(appender) => {
                    if self.files.len() >= OPEN_FILES && !self.files.contains_key(name) {
                        // Each of them is synced with every letter.
                        self.files.clear();
                    }
                    self.files.insert(name.to_owned(), appender)
                }
                Err(fault) => {
                    // Opening again repairs what a failed write left behind.
                    self.files.remove(name);
                    return Err(fault);
                }
            };
        }
        Ok(())
    }
}

fn file_of(name: &str) -> Result<String, Fault> {
    file_name(name).ok_or_else(|| {
        let message = format!(
            "a dead-letter topic of {} bytes cannot be a file name: it is empty or too long",
            name.len()
        );
        Fault::new(FaultKind::Config, message)
    })
}

fn append(
    known: Option<Arc<Appender>>,
    path: &std::path::Path,
    lines: &[u8],
) -> Result<Arc<Appender>, Fault> {
    let appender = match known {
        Some(appender) => appender,
        None => Arc::new(Appender::open(path)?),
    };
    appender.append(lines)?;
    sync(&appender.file, path)?;
    Ok(appender)
}

fn write_letter(
    out: &mut Vec<u8>,
    context: &DeadLetterContext,
    delivery: &Delivery,
    batch: &Batch,
    letter: &DeadLetter,
) {
    let row = letter.row as usize;
    write_original(out, batch, row);
    let cause = &letter.cause;
    let mut error = json!({
        "stage": &*cause.stage,
        "code": &*cause.code,
        "message": cause.message,
        "attempts": letter.attempts,
        "pipeline": &*context.pipeline,
        "source": context.source,
        "partition": &*delivery.partition.0,
        "position": batch.positions.get(row).map(ToString::to_string),
        "at": now_us().div_euclid(1000),
    });
    if let (Some(module), Some(members)) = (&cause.module, error.as_object_mut()) {
        let (name, version, sha256) = &**module;
        let module = json!({ "name": name, "version": version, "sha256": sha256 });
        members.insert("module".into(), module);
    }
    out.extend_from_slice(b",\"error\":");
    out.extend_from_slice(error.to_string().as_bytes());
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests;
