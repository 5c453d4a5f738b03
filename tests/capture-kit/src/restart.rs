//! Going on at the checkpoint.

use std::ops::DerefMut;

use wasmgate_model::Checkpoint;

use crate::event::{Event, events};
use crate::run::Run;

/// Settles one delivery, reads on without settling and crashes, again and again until `want`
/// events came; `resume` opens the source again. Answers them, and how many restarts were inside a
/// transaction.
pub async fn midway<R: DerefMut<Target = Run>>(
    mut run: R,
    want: usize,
    resume: impl AsyncFn(Checkpoint) -> R,
) -> (Vec<Event>, usize) {
    let (mut all, mut inside) = (Vec::new(), 0);
    while all.len() < want {
        let delivery = run.next().await.unwrap().unwrap();
        all.extend(events(&delivery));
        run.settle(&delivery).await;
        if all.len() < want {
            drop(run.next().await.unwrap());
            inside += usize::from(delivery.to.minor > 0);
            let checkpoint = run.checkpoint.clone();
            drop(run);
            run = resume(checkpoint).await;
            assert_eq!(run.assigned, []);
        }
    }
    assert_eq!(all.len(), want);
    assert!(all.is_sorted_by(|a, b| a.at < b.at), "{all:#?}");
    (all, inside)
}
