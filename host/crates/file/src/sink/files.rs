//! The open files that lines are appended to: one, or one for every topic.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wasmgate_model::Fault;

use super::OPEN_FILES;
use super::lines::ByTopic;
use crate::ahead::Ahead;
use crate::disk::{Appender, file_name, refusal, sync};
use crate::worker::{Output, Touched};

/// How long to wait for the syncer to let go of a file, before another look.
const LET_GO: Duration = Duration::from_millis(1);

/// An open file.
pub(super) struct OpenFile {
    appender: Appender,
    ahead: Ahead,
    touched: bool,
}

impl OpenFile {
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let appender = Appender::open(path)?;
        let ahead = Ahead::of(&appender.file).map_err(|cause| refusal("be read", path, cause))?;
        Ok(Self { appender, ahead, touched: false })
    }

    fn append(&mut self, lines: &[u8]) -> Result<(), Fault> {
        if !lines.is_empty() {
            self.touched = true;
            self.ahead.make(&self.appender.file, lines.len());
            self.appender.append(lines)?;
        }
        Ok(())
    }

    /// Names the file to whoever syncs it, if it was written to since the last time.
    fn touched(&mut self) -> Option<Touched> {
        let Appender { file, path } = &self.appender;
        std::mem::take(&mut self.touched).then(|| (Arc::clone(file), path.clone()))
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.ahead.close(&self.appender.file);
    }
}

impl Output<Vec<u8>> for OpenFile {
    fn write(&mut self, lines: &mut Vec<u8>) -> Result<(), Fault> {
        self.append(lines)?;
        lines.clear();
        Ok(())
    }

    fn flush(&mut self) -> Result<Vec<Touched>, Fault> {
        Ok(self.touched().into_iter().collect())
    }
}

/// A topic whose file is open, with the number of the request that used it last.
struct TopicFile {
    file: OpenFile,
    used: u64,
}

/// A file for every topic.
pub(super) struct Topics {
    dir: PathBuf,
    open: HashMap<String, TopicFile>,
    requests: u64,
}

impl Topics {
    pub(super) fn open(dir: PathBuf) -> Result<Self, Fault> {
        std::fs::create_dir_all(&dir).map_err(|cause| refusal("be created", &dir, cause))?;
        Ok(Self { dir, open: HashMap::new(), requests: 0 })
    }

    /// Closes the file used longest ago if there are as many open as may be. The syncer may hold
    /// files of earlier requests, and their descriptors: one that it holds is not closed yet.
    fn make_room(&mut self) -> Result<(), Fault> {
        while self.open.len() >= OPEN_FILES {
            let free = |open: &TopicFile| Arc::strong_count(&open.file.appender.file) == 1;
            let oldest = self.open.iter().filter(|(_, open)| free(open));
            let oldest = oldest.min_by_key(|(_, open)| open.used).map(|(topic, _)| topic.clone());
            let Some(topic) = oldest else {
                std::thread::sleep(LET_GO);
                continue;
            };
            if let Some(open) = self.open.get(&topic)
                && open.file.touched
            {
                let Appender { file, path } = &open.file.appender;
                sync(file, path)?;
            }
            self.open.remove(&topic);
        }
        Ok(())
    }
}

impl Output<ByTopic> for Topics {
    /// Appends the lines to their files, opened one after the other.
    fn write(&mut self, lines: &mut ByTopic) -> Result<(), Fault> {
        self.requests += 1;
        for (topic, lines) in lines.iter_mut().filter(|(_, lines)| !lines.is_empty()) {
            if !self.open.contains_key(topic) {
                self.make_room()?;
                let Some(name) = file_name(topic) else { continue };
                let file = OpenFile::open(&self.dir.join(name))?;
                self.open.insert(topic.clone(), TopicFile { file, used: 0 });
            }
            if let Some(open) = self.open.get_mut(topic) {
                open.used = self.requests;
                open.file.append(lines)?;
            }
            lines.clear();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Vec<Touched>, Fault> {
        Ok(self.open.values_mut().filter_map(|open| open.file.touched()).collect())
    }
}
