//! Watches the modules' directory. The watcher only says that something happened, and polling
//! finds what it misses (network file systems); what changed is told by digests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::modules::Modules;

/// Between two looks when nothing happens.
const IDLE: Duration = Duration::from_secs(2);
/// Between two looks after something happened: a file settles between them.
const BUSY: Duration = Duration::from_millis(200);
/// Looks after something happened.
const BUSY_LOOKS: u32 = 4;

/// Takes in changes of the directory for ever.
pub(crate) async fn watch(dir: &Path, modules: Arc<Modules>) {
    let happened = Arc::new(Notify::new());
    let watcher = start(dir, Arc::clone(&happened));
    if let Err(error) = &watcher {
        tracing::warn!(%error, "the modules' directory cannot be watched, it is polled instead");
    }
    let mut looks = 0;
    loop {
        let pause = if looks > 0 { BUSY } else { IDLE };
        tokio::select! {
            () = happened.notified(), if looks == 0 => looks = BUSY_LOOKS,
            () = tokio::time::sleep(pause) => looks = looks.saturating_sub(1),
        }
        let modules = Arc::clone(&modules);
        match tokio::task::spawn_blocking(move || modules.scan()).await {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => {
                tracing::warn!(error = fault.chain(), "the modules' directory cannot be read");
            }
            // The process is stopping.
            Err(_) => return,
        }
    }
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
