//! Transactions that the server sends before they are decided: while they run (`streaming`), or
//! once they are prepared (`two_phase`). Their changes are kept as they came, in memory and, beyond
//! a cap, in a file each, and become records when the commit is known: the same records at the same
//! positions as if the server had kept them until then.

mod spool;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use wasmgate_codec::pgoutput::{Control, Prepared, streamed_xid};
use wasmgate_model::{Fault, FaultKind};

use self::spool::Spool;
pub(crate) use self::spool::{Kept, Records};
use crate::fault::protocol;
use crate::replication::Confirmed;

/// Names of the files of transactions.
const SUFFIX: &str = "transaction";
/// Once a transaction has a file, it gathers so much in memory before it is written.
const WRITE: usize = 256 << 10;

/// Bounds on what is kept, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In memory, of all transactions together.
    pub memory: usize,
    /// In files, of all transactions together.
    pub disk: u64,
}

/// A decided transaction: its changes, in the order of the log, and where it ends.
pub(crate) struct Decided {
    pub xid: u32,
    pub commit_lsn: u64,
    pub end_lsn: u64,
    pub commit_us: i64,
    pub records: Records,
}

/// What a message did.
pub(crate) enum Step {
    Taken,
    Decided(Box<Decided>),
}

/// Transactions that are not decided.
pub(crate) struct Transactions {
    /// Where files go; `None`: everything stays in memory.
    dir: Option<PathBuf>,
    limits: Limits,
    /// By number of the top transaction.
    held: HashMap<u32, Spool>,
    /// The transaction whose piece is being received.
    receiving: Option<u32>,
    /// Prepared ones: start of the record that prepared them. The server does not send them
    /// again once a place behind it is confirmed.
    prepared: HashMap<u32, u64>,
    /// Up to here the server sends again what it sent before a restart, prepared transactions
    /// among it: nothing is confirmed before.
    resuming: Option<u64>,
    confirmed: Arc<Confirmed>,
    memory: usize,
    disk: u64,
}

impl Transactions {
    /// Files that an earlier run left are removed: the server sends what was in them again.
    pub(crate) fn new(
        dir: Option<PathBuf>,
        limits: Limits,
        confirmed: Arc<Confirmed>,
    ) -> Result<Self, Fault> {
        if let Some(dir) = &dir {
            spool::clear(dir, SUFFIX)?;
        }
        let (held, prepared) = (HashMap::new(), HashMap::new());
        Ok(Self {
            dir,
            limits,
            held,
            receiving: None,
            prepared,
            resuming: None,
            confirmed,
            memory: 0,
            disk: 0,
        })
    }

    /// Prepared transactions that were sent before a restart come again; `to` is where reading
    /// goes on.
    pub(crate) fn resume_prepared(&mut self, to: u64) {
        self.resuming = Some(to);
        self.hold();
    }

    /// Everything before this place of the log was sent.
    pub(crate) fn reached(&mut self, lsn: u64) {
        if self.resuming.is_some_and(|to| lsn >= to) {
            self.resuming = None;
            self.hold();
        }
    }

    /// Whether a piece is being received: what comes now is no committed change.
    pub(crate) fn is_receiving(&self) -> bool {
        self.receiving.is_some()
    }

    /// Whether that piece is one of a running transaction, not a whole prepared one.
    pub(crate) fn is_streamed(&self) -> bool {
        let spool = self.receiving.and_then(|xid| self.held.get(&xid));
        spool.is_some_and(|spool| spool.streamed)
    }

    /// Keeps a change of the piece that is being received. `number` is its place among the
    /// messages of the connection.
    pub(crate) fn keep(&mut self, lsn: u64, number: u64, payload: &[u8]) -> Result<(), Fault> {
        let Some(spool) = self.receiving.and_then(|xid| self.held.get_mut(&xid)) else {
            return Err(protocol("a change outside of a transaction"));
        };
        let sub = if spool.streamed {
            streamed_xid(payload).map_err(|e| protocol("cannot read a change").because(e))?
        } else {
            None
        };
        self.memory += spool.push(sub, lsn, number, payload);
        if spool.is_spilled() && spool.in_memory() >= WRITE {
            let written = spool.spill()?;
            self.memory -= written;
            self.disk += written as u64;
            return self.check_disk();
        }
        while self.memory > self.limits.memory && self.spill_largest()? {}
        Ok(())
    }

    /// Writes the transaction with the most in memory. False: there is nowhere to write.
    fn spill_largest(&mut self) -> Result<bool, Fault> {
        let Some(dir) = &self.dir else { return Ok(false) };
        let largest = self.held.iter_mut().max_by_key(|(_, spool)| spool.in_memory());
        let Some((xid, spool)) = largest else { return Ok(false) };
        if !spool.is_spilled() {
            spool.create(&dir.join(format!("{xid}.{SUFFIX}")))?;
            tracing::info!(xid, bytes = spool.in_memory(), "a large transaction goes to disk");
        }
        let written = spool.spill()?;
        self.memory -= written;
        self.disk += written as u64;
        self.check_disk()?;
        Ok(written > 0)
    }

    fn check_disk(&self) -> Result<(), Fault> {
        let (kept, limit) = (self.disk, self.limits.disk);
        if kept <= limit {
            return Ok(());
        }
        let what = format!(
            "open transactions fill {kept} bytes of disk and `stream.spill_max` is {limit}: raise \
             it, or set `stream.in_progress: off`, so that the server keeps them until they commit"
        );
        Err(Fault::new(FaultKind::SourceRefused, what))
    }

    /// Takes a message that begins, ends or decides a piece.
    pub(crate) fn control(&mut self, control: Control<'_>) -> Result<Step, Fault> {
        match control {
            Control::StreamStart { xid, first } => {
                if first {
                    self.forget(xid);
                }
                self.receive(xid, true)?;
            }
            Control::BeginPrepare(Prepared { xid, .. }) => {
                self.forget(xid);
                self.receive(xid, false)?;
            }
            Control::StreamStop => self.receiving = None,
            Control::Prepare(prepared) | Control::StreamPrepare(prepared) => {
                self.receiving = None;
                self.prepared.insert(prepared.xid, prepared.prepare_lsn);
                self.hold();
            }
            Control::StreamAbort { xid, sub_xid } if xid == sub_xid => self.forget(xid),
            Control::StreamAbort { xid, sub_xid } => self.cut(xid, sub_xid)?,
            Control::RollbackPrepared { xid, .. } => self.forget(xid),
            Control::StreamCommit { xid, commit_lsn, end_lsn, commit_us } => {
                return self.decide(xid, (commit_lsn, end_lsn, commit_us));
            }
            Control::CommitPrepared { xid, commit_lsn, end_lsn, commit_us, .. } => {
                return self.decide(xid, (commit_lsn, end_lsn, commit_us));
            }
        }
        Ok(Step::Taken)
    }

    fn receive(&mut self, xid: u32, streamed: bool) -> Result<(), Fault> {
        if self.receiving.is_some() {
            return Err(protocol("a transaction begins inside of another"));
        }
        self.held.entry(xid).or_insert_with(|| Spool::new(streamed));
        self.receiving = Some(xid);
        Ok(())
    }

    fn take(&mut self, xid: u32) -> Option<Spool> {
        let spool = self.held.remove(&xid)?;
        self.memory -= spool.in_memory();
        self.disk -= spool.on_disk();
        Some(spool)
    }

    /// Drops a transaction that was rolled back.
    fn forget(&mut self, xid: u32) {
        drop(self.take(xid));
        if self.prepared.remove(&xid).is_some() {
            self.hold();
        }
    }

    fn cut(&mut self, xid: u32, sub_xid: u32) -> Result<(), Fault> {
        // A sub-transaction of which nothing was sent has nothing to take back.
        let Some(spool) = self.held.get_mut(&xid) else { return Ok(()) };
        let (memory, disk) = (spool.in_memory(), spool.on_disk());
        spool.cut(sub_xid)?;
        self.memory -= memory - spool.in_memory();
        self.disk -= disk - spool.on_disk();
        Ok(())
    }

    fn decide(
        &mut self,
        xid: u32,
        (commit_lsn, end_lsn, commit_us): (u64, u64, i64),
    ) -> Result<Step, Fault> {
        let Some(spool) = self.take(xid) else {
            return Err(Fault::new(
                FaultKind::SourceLost,
                format!(
                    "transaction {xid} was committed and its changes were sent to somebody else: \
                     the slot was read by another reader; read the tables again with `snapshot: \
                     when_needed`"
                ),
            ));
        };
        if self.prepared.remove(&xid).is_some() {
            self.hold();
        }
        let records = spool.into_records()?;
        Ok(Step::Decided(Box::new(Decided { xid, commit_lsn, end_lsn, commit_us, records })))
    }

    /// Nothing behind the first prepared transaction is confirmed: after a restart it has to come
    /// again.
    fn hold(&self) {
        let first = self.prepared.values().copied().min();
        self.confirmed.hold(if self.resuming.is_some() { Some(0) } else { first });
    }
}

#[cfg(test)]
mod tests;
