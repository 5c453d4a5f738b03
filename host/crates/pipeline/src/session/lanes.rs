//! Lanes: threads that run the chain, from their queue to the writer.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use wasmgate_model::{Delivery, Fault, FaultKind};

use super::{IN_FLIGHT_KIB, Over, QUEUE, Shared, open_policy};
use crate::chain::Chain;
use crate::lane::LaneChain;
use crate::letters::Judge;
use crate::spec::PipelineSpec;
use crate::stop::Stop;
use crate::watch::Watch;
use crate::writer::Processed;

/// A delivery on its way into a lane.
pub(super) struct Queued {
    pub(super) ticket: u64,
    pub(super) delivery: Delivery,
    /// Its share of [`IN_FLIGHT_KIB`], held until it is settled.
    pub(super) room: OwnedSemaphorePermit,
}

/// Starts the lanes' threads; returns their queues.
pub(super) fn lanes(
    spec: &PipelineSpec,
    chain: &Arc<Chain>,
    shared: &Arc<Shared>,
    over: &Over,
    processed: &mpsc::Sender<Processed>,
    faults: &mpsc::Sender<Fault>,
) -> Result<Vec<mpsc::Sender<Queued>>, Fault> {
    let mut queues = Vec::new();
    for n in 0..spec.lanes.max(1) {
        let (queue, deliveries) = mpsc::channel(QUEUE);
        queues.push(queue);
        let judge = Judge {
            policy: open_policy(spec)?,
            encoder: Arc::clone(&spec.encoder),
            metrics: Arc::clone(&spec.metrics),
            shared: Arc::clone(shared),
        };
        let mut lane_chain = LaneChain::new(Arc::clone(chain), Arc::clone(&spec.metrics));
        lane_chain.watch = Watch::new(Arc::clone(&over.stop));
        let lane = Lane {
            chain: lane_chain,
            made: Arc::clone(&over.made),
            runtime: tokio::runtime::Handle::current(),
            judge,
            shared: Arc::clone(shared),
            deliveries,
            processed: processed.clone(),
        };
        let faults = faults.clone();
        let name = format!("{}-lane-{n}", spec.name);
        std::thread::Builder::new().name(name).spawn(move || lane.run(&faults)).map_err(|e| {
            Fault::new(FaultKind::Internal, "a lane's thread cannot start").because(e)
        })?;
    }
    Ok(queues)
}

struct Lane {
    chain: LaneChain,
    judge: Judge,
    shared: Arc<Shared>,
    deliveries: mpsc::Receiver<Queued>,
    processed: mpsc::Sender<Processed>,
    /// Room for what modules make, in KiB.
    made: Arc<Semaphore>,
    runtime: tokio::runtime::Handle,
}

impl Lane {
    fn run(mut self, faults: &mpsc::Sender<Fault>) {
        while let Some(queued) = self.deliveries.blocking_recv() {
            if self.shared.is_held() {
                return;
            }
            let work = std::panic::AssertUnwindSafe(|| self.process(queued));
            let done = std::panic::catch_unwind(work).unwrap_or_else(|_| {
                let what = "a lane panicked; please report it";
                Err(Fault::new(FaultKind::Internal, what).into())
            });
            match done {
                Ok(processed) => {
                    if self.processed.blocking_send(processed).is_err() {
                        return;
                    }
                }
                Err(Stop::Pause { fault, chain }) => {
                    self.shared.hold(&fault, chain);
                    return;
                }
                Err(Stop::Fault(fault)) => {
                    // The first fault ends the session; a second one has nobody to tell.
                    drop(faults.try_send(fault));
                    return;
                }
            }
        }
    }

    fn process(&mut self, queued: Queued) -> Result<Processed, Stop> {
        let Queued { ticket, mut delivery, room } = queued;
        let records = delivery.rows() as u64;
        let mut extra = Vec::new();
        self.chain.watch.begin();
        for batch in &mut delivery.batches {
            let version = batch.plan.chain;
            let emitted = self.chain.run(batch).map_err(|f| Stop::of_chain(f, version))?;
            extra.extend(emitted);
            self.shared.metrics.batches.inc();
        }
        let letters = self.judge.judge(&mut delivery, &mut self.chain)?;
        delivery.batches.extend(extra);
        let made = self.room()?;
        Ok(Processed { ticket, delivery, letters, records, room: (room, made) })
    }

    /// Room for what modules made of the delivery: waits until enough of what was made before is
    /// settled. A larger share than all there is travels alone.
    fn room(&self) -> Result<Option<OwnedSemaphorePermit>, Fault> {
        let share = (self.chain.watch.made() >> 10).min(IN_FLIGHT_KIB) as u32;
        if share == 0 {
            return Ok(None);
        }
        let made = Arc::clone(&self.made);
        let ended = |_| Fault::new(FaultKind::Stopped, "the session ended while a lane waited");
        match Arc::clone(&made).try_acquire_many_owned(share) {
            Ok(room) => Ok(Some(room)),
            Err(_) => {
                self.runtime.block_on(made.acquire_many_owned(share)).map(Some).map_err(ended)
            }
        }
    }
}
