//! What is told of transactions beside their changes: where they begin and end, and the logical
//! messages in them and between them.

use wasmgate_codec::document::InboundRecord;
use wasmgate_codec::json::write_int;
use wasmgate_model::{Fault, Position};
use wasmgate_replication::Places as _;

use super::{Stream, sequence};
use crate::assemble::{Assembler, now_us};
use crate::documents::{boundary, message_key, transaction_id};
use crate::heartbeat;
use crate::incremental::marks;
use crate::rows::{Origin, TransactionBlock};
use crate::transaction::{Tally, Transaction};

/// A document that stands in a transaction.
fn inbound<'a>(
    (key, value): (&'a [u8], &'a [u8]),
    time_us: i64,
    position: Position,
) -> InboundRecord<'a> {
    InboundRecord { key: Some(key), value: Some(value), time_us, position, partition: -1 }
}

impl Stream {
    /// `begin_lsn` 0: that of its first change. `minor`: number of the last record before its
    /// first.
    pub(super) fn begin(
        &mut self,
        (commit_lsn, commit_us, xid): (u64, i64, u32),
        begin_lsn: u64,
        minor: u64,
    ) {
        let settled = match commit_lsn.cmp(&self.resume.major) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => self.resume.minor,
            std::cmp::Ordering::Greater => 0,
        };
        self.watch.begin(xid);
        let begin = minor + 1;
        self.transaction = Some(Transaction {
            commit_lsn,
            commit_us,
            xid: i64::from(xid),
            begin_lsn,
            origin: None,
            begin,
            begun: false,
            minor: begin,
            settled,
            tally: Tally::default(),
        });
    }

    /// Tells the beginning of the transaction, where that is asked for. It waits for the first
    /// change: what came by replication says so only after the beginning.
    pub(super) fn tell_begin(&mut self, lsn: u64, out: &mut Assembler) -> Result<(), Fault> {
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        transaction.begun = true;
        if transaction.begin_lsn == 0 {
            transaction.begin_lsn = lsn;
        }
        if !self.settings.events.transactions || transaction.begin <= transaction.settled {
            return Ok(());
        }
        let (key, value) = boundary(transaction, transaction.begin_lsn, None);
        let position = Position::new(transaction.commit_lsn, transaction.begin);
        let record = inbound((key.as_bytes(), value.as_bytes()), transaction.commit_us, position);
        out.document(&self.documents.transactions, &record)
    }

    pub(super) fn commit(&mut self, end_lsn: u64, out: &mut Assembler) -> Result<(), Fault> {
        if self.transaction.as_ref().is_some_and(|t| !t.begun) {
            self.tell_begin(end_lsn, out)?;
        }
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        let end = transaction.minor + 1;
        if self.settings.events.transactions && end > transaction.settled {
            let (key, value) = boundary(&transaction, end_lsn, Some(&transaction.tally));
            let position = Position::new(transaction.commit_lsn, end);
            let record =
                inbound((key.as_bytes(), value.as_bytes()), transaction.commit_us, position);
            out.document(&self.documents.transactions, &record)?;
        }
        self.last_commit.clear();
        self.last_commit.push(b'"');
        write_int(transaction.commit_lsn as i64, &mut self.last_commit);
        self.last_commit.push(b'"');
        self.last_commit_us = Some(transaction.commit_us);
        self.transactions.reached(end_lsn);
        out.reached(Position::new(end_lsn, 0));
        Ok(())
    }

    /// A message of `pg_logical_emit_message`. One outside of transactions stands at its own place
    /// of the log.
    pub(super) fn logical(
        &mut self,
        transactional: bool,
        lsn: u64,
        (prefix, content): (&str, &[u8]),
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        // Our own heartbeats and marks of chunks are no records.
        let ours = prefix == heartbeat::PREFIX || prefix == marks::PREFIX;
        let wanted = !ours && self.settings.stream.messages.wants(prefix);
        if transactional && self.transaction.as_ref().is_some_and(|t| !t.begun) {
            self.tell_begin(lsn, out)?;
        }
        sequence(&self.last_commit, lsn, &mut self.sequence);
        let mut origin = Origin {
            time_us: now_us(),
            snapshot: "false",
            sequence: &self.sequence,
            transaction: 0,
            lsn,
            block: None,
            replicated: None,
        };
        let key = message_key(prefix);
        let Some(transaction) = self.transaction.as_mut().filter(|_| transactional) else {
            let at = Position::new(lsn, 1);
            out.reached(Position::new(lsn, 0));
            if !wanted || at <= self.resume {
                return Ok(());
            }
            let value = self.documents.message(prefix, content, &origin, false);
            return out.add_document(&self.documents.messages, key.as_bytes(), &value);
        };
        transaction.minor += 1;
        let position = Position::new(transaction.commit_lsn, transaction.minor);
        let (total_order, data_collection_order) = match wanted {
            true => transaction.tally.message(),
            false => (0, 0),
        };
        if position.minor <= transaction.settled {
            return Ok(());
        }
        if !wanted {
            out.reached(position);
            return Ok(());
        }
        let id = transaction_id(transaction.xid, lsn);
        if self.settings.events.transactions {
            let id = id.as_bytes();
            origin.block = Some(TransactionBlock { id, total_order, data_collection_order });
        }
        (origin.time_us, origin.transaction) = (transaction.commit_us, transaction.xid);
        origin.replicated = transaction.origin.as_ref().map(|(name, lsn)| (name.as_str(), *lsn));
        let value = self.documents.message(prefix, content, &origin, true);
        let record = inbound((key.as_bytes(), &value), transaction.commit_us, position);
        out.document(&self.documents.messages, &record)
    }
}
