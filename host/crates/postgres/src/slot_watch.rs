//! Looks at the slot beside everything else: how much log it keeps, whether the server is about to
//! give it up, whether our own limit is passed. It has a connection and a task of its own, so that
//! it sees also while the snapshot runs or the consumer stalls, which is when it matters.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use wasmgate_connector::SourceStatus;
use wasmgate_model::{Fault, FaultKind};

use crate::catalog::Catalog;
use crate::connect::Connector;
use crate::fault::lost_advice;
use crate::settings::Settings;
use crate::slot::{Health, Slot, drop_slot, slot};
use crate::slot_care::OnWalLimit;

/// The looking task.
pub(crate) struct SlotWatch {
    settings: Arc<Settings>,
    catalog: Catalog,
    status: Arc<SourceStatus>,
    /// What ends the source.
    alarm: mpsc::Sender<Fault>,
    health: Health,
    /// The limit was passed, and it was said.
    over: bool,
    /// Looking failed, and it was said.
    blind: bool,
}

impl SlotWatch {
    pub(crate) fn new(
        settings: Arc<Settings>,
        connector: Connector,
        status: Arc<SourceStatus>,
        alarm: mpsc::Sender<Fault>,
    ) -> Self {
        let catalog = Catalog::new(connector);
        let (health, over, blind) = (Health::Reserved, false, false);
        Self { settings, catalog, status, alarm, health, over, blind }
    }

    /// Looks until the source is closed or has to end.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(self.settings.slot_care.watch_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.alarm.closed() => return,
                _ = tick.tick() => {}
            }
            if let Err(fault) = self.look().await {
                // A reader that is gone needs no reason.
                drop(self.alarm.send(fault).await);
                return;
            }
        }
    }

    /// One look; the fault is what the source has to end with.
    async fn look(&mut self) -> Result<(), Fault> {
        let found = match slot(&mut self.catalog, &self.settings.slot).await {
            Ok(Some(found)) => found,
            // Not made yet, or dropped: the stream tells.
            Ok(None) => return Ok(()),
            Err(fault) => {
                if !std::mem::replace(&mut self.blind, true) {
                    tracing::warn!(error = fault.chain(), "cannot look at the slot");
                }
                return Ok(());
            }
        };
        self.blind = false;
        self.status.place_health.store(found.health as i64, Ordering::Relaxed);
        self.status.safe_bytes.store(found.safe.unwrap_or(0), Ordering::Relaxed);
        self.status.retained_bytes.store(found.retained, Ordering::Release);
        self.told(&found)?;
        self.limited(found.retained).await
    }

    /// Says when the server holds the slot less firmly than before.
    fn told(&mut self, found: &Slot) -> Result<(), Fault> {
        let before = std::mem::replace(&mut self.health, found.health);
        let (slot, retained) = (&self.settings.slot, found.retained);
        match found.health {
            Health::Lost => {
                let why = if found.reason.is_empty() { "wal_removed" } else { &found.reason };
                let advice = lost_advice(slot);
                let message = format!("the server gave the slot up ({why}): {advice}");
                Err(Fault::new(FaultKind::SourceLost, message).coded("slot-lost"))
            }
            health if health <= before => Ok(()),
            Health::Unreserved => {
                let advice = "it is lost at the server's next checkpoint unless it is read now; \
                              raise max_slot_wal_keep_size";
                tracing::error!(slot, retained, advice, "the slot is in danger");
                Ok(())
            }
            _ => {
                tracing::warn!(slot, retained, "the slot keeps more log than max_wal_size");
                Ok(())
            }
        }
    }

    /// Our own limit.
    async fn limited(&mut self, retained: i64) -> Result<(), Fault> {
        let Some(limit) = self.settings.slot_care.wal_limit else { return Ok(()) };
        let kept = u64::try_from(retained).unwrap_or(0);
        // Said again only after it was well below.
        if kept < limit {
            self.over &= kept >= limit / 10 * 9;
            return Ok(());
        }
        let slot = &self.settings.slot;
        let passed = format!("slot \"{slot}\" keeps {kept} bytes of log, `wal_limit` is {limit}");
        if !std::mem::replace(&mut self.over, true) {
            tracing::error!(slot, retained, limit, "the slot keeps more log than `wal_limit`");
        }
        match self.settings.slot_care.on_wal_limit {
            OnWalLimit::Warn => Ok(()),
            OnWalLimit::Pause => {
                let message = format!("{passed}; make room, then resume the pipeline");
                Err(Fault::new(FaultKind::SourceRefused, message).coded("wal-limit"))
            }
            OnWalLimit::Drop => {
                drop_slot(&mut self.catalog, slot).await?;
                let message = format!("{passed}, and it was dropped: {}", lost_advice(slot));
                Err(Fault::new(FaultKind::SourceLost, message).coded("slot-lost"))
            }
        }
    }
}
