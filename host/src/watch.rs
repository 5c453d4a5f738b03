//! Watches the modules' directory. The watcher only says that something happened, and polling
//! finds what it misses: network file systems, links to files elsewhere, a directory that was
//! removed and made again, which is then watched anew. What changed is told by digests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::modules::Modules;

/// How often to look.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Between two looks when nothing happens.
    idle: Duration,
    /// Between two looks after something happened: a file settles between them.
    busy: Duration,
}

const PACE: Pace = Pace { idle: Duration::from_secs(2), busy: Duration::from_millis(200) };
/// Looks after something happened.
const BUSY_LOOKS: u32 = 4;

/// Takes in changes of the directory for ever.
pub(crate) async fn watch(dir: &Path, modules: Arc<Modules>) {
    watch_at(PACE, dir, modules).await;
}

async fn watch_at(pace: Pace, dir: &Path, modules: Arc<Modules>) {
    let happened = Arc::new(Notify::new());
    let mut watched = Watched::new(dir, Arc::clone(&happened));
    let mut looks = BUSY_LOOKS;
    loop {
        let modules = Arc::clone(&modules);
        let look = tokio::task::spawn_blocking(move || {
            // First, so that no change falls between the look and the watching.
            watched.follow();
            let looked = modules.scan().err().map(|fault| fault.chain());
            watched.report(looked);
            watched
        });
        watched = match look.await {
            Ok(watched) => watched,
            // The process is stopping.
            Err(_) => return,
        };
        let pause = if looks > 0 { pace.busy } else { pace.idle };
        tokio::select! {
            () = happened.notified(), if looks == 0 => looks = BUSY_LOOKS,
            () = tokio::time::sleep(pause) => looks = looks.saturating_sub(1),
        }
    }
}

/// What tells a directory from another that has taken its name, and perhaps its inode.
type Identity = (u64, u64, Option<SystemTime>);

/// The directory and who watches it.
struct Watched {
    dir: PathBuf,
    happened: Arc<Notify>,
    watcher: Option<(Identity, RecommendedWatcher)>,
    /// That it is only polled was logged.
    polled: bool,
    /// Why it could not be read last.
    trouble: Option<String>,
}

impl Watched {
    fn new(dir: &Path, happened: Arc<Notify>) -> Self {
        Self { dir: dir.to_owned(), happened, watcher: None, polled: false, trouble: None }
    }

    /// Watches the directory that has the name now, if it is not the one that is watched.
    fn follow(&mut self) {
        let Some(identity) = identity(&self.dir) else {
            self.watcher = None;
            return;
        };
        if self.watcher.as_ref().is_some_and(|(watched, _)| *watched == identity) {
            return;
        }
        self.watcher = None;
        match start(&self.dir, Arc::clone(&self.happened)) {
            Ok(watcher) => {
                self.watcher = Some((identity, watcher));
                self.polled = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.polled, true) {
                    let dir = self.dir.display();
                    tracing::warn!(%dir, %error, "cannot watch the modules' directory, polling it");
                }
            }
        }
    }

    /// Logs why the directory cannot be read, when that changes.
    fn report(&mut self, trouble: Option<String>) {
        if self.trouble != trouble {
            match &trouble {
                Some(error) => tracing::warn!(
                    error,
                    "the modules' directory cannot be read; the modules run on as they are"
                ),
                None => tracing::info!("the modules' directory can be read again"),
            }
            self.trouble = trouble;
        }
    }
}

fn identity(dir: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::metadata(dir).ok()?;
    Some((found.dev(), found.ino(), found.created().ok()))
}

fn start(dir: &Path, happened: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the directory is an event too, and every look reads it.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            happened.notify_one();
        }
    })?;
    watcher.watch(dir, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Instant;

    use wasmgate_telemetry::Telemetry;
    use wasmgate_wasm::{Library, Limits, Runtime};

    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);
    const SOON: Duration = Duration::from_millis(50);
    /// More changes, one after the other, than are found by looks that follow one event.
    const MANY: u32 = 2 * BUSY_LOOKS;

    /// A directory that is watched. Files that are no modules do: that they are refused shows that
    /// they were seen.
    struct Place {
        dir: tempfile::TempDir,
        modules: Arc<Modules>,
        watching: tokio::task::JoinHandle<()>,
    }

    impl Place {
        fn new(idle: Duration) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let runtime = Arc::new(Runtime::new(Limits::default(), None).unwrap());
            let library = Library::open(dir.path().join("drop"), runtime, None).unwrap();
            let telemetry = Arc::new(Telemetry::new());
            let modules = Arc::new(Modules::new(Arc::new(library), Vec::new(), telemetry));
            let (watched, users) = (dir.path().join("drop"), Arc::clone(&modules));
            let pace = Pace { idle, busy: SOON };
            let watching = tokio::spawn(async move { watch_at(pace, &watched, users).await });
            Self { dir, modules, watching }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join("drop").join(name)
        }

        /// What was read of a module's file last.
        fn digest(&self, name: &str) -> Option<String> {
            let statuses = self.modules.known().list().into_iter();
            statuses.filter(|status| status.name == name).map(|status| status.sha256).next()
        }

        /// Changes a file again and again, and waits each time until that was seen.
        async fn sees_changes(&self, name: &str, path: &Path) {
            for number in 0..MANY {
                let before = self.digest(name);
                fs::write(path, format!("{name} {number}")).unwrap();
                let started = Instant::now();
                while self.digest(name) == before {
                    let patience = Duration::from_secs(30);
                    assert!(started.elapsed() < patience, "never seen: {name} {number}");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            self.watching.abort();
        }
    }

    #[tokio::test]
    async fn events_are_enough_also_in_a_directory_that_was_made_again() {
        let place = Place::new(NEVER);
        place.sees_changes("one", &place.path("one.wasm")).await;
        fs::remove_dir_all(place.path("")).unwrap();
        fs::create_dir(place.path("")).unwrap();
        place.sees_changes("two", &place.path("two.wasm")).await;
    }

    #[tokio::test]
    async fn polling_finds_what_gives_no_event() {
        let place = Place::new(SOON);
        // Outside of the directory, nothing is watched.
        let target = place.dir.path().join("target");
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, place.path("linked.wasm")).unwrap();
        place.sees_changes("linked", &target).await;
        // A directory that was away for a while.
        fs::rename(place.path(""), place.dir.path().join("away")).unwrap();
        tokio::time::sleep(SOON * (BUSY_LOOKS + 2)).await;
        fs::create_dir(place.path("")).unwrap();
        place.sees_changes("late", &place.path("late.wasm")).await;
    }

    #[test]
    fn a_directory_with_the_name_of_another_is_watched_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("drop");
        let mut watched = Watched::new(&path, Arc::new(Notify::new()));
        watched.follow();
        assert!(watched.watcher.is_none(), "there is none");
        let mut seen = Vec::new();
        for _ in 0..3 {
            fs::create_dir(&path).unwrap();
            watched.follow();
            seen.push(watched.watcher.as_ref().unwrap().0);
            watched.follow();
            assert_eq!(seen.last(), watched.watcher.as_ref().map(|(identity, _)| identity));
            fs::rename(&path, dir.path().join(format!("away-{}", seen.len()))).unwrap();
            watched.follow();
            assert!(watched.watcher.is_none());
        }
        seen.dedup();
        assert_eq!(seen.len(), 3);
    }
}
