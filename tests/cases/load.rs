//! Load for the ledger: a few keys whose seqs count up, in transactions of five changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wasmgate_services::postgres::Postgres;
use wasmgate_tests::ledger::{Ledger, checksum};
use wasmgate_tests::topics::Stored;

const KEYS: i64 = 40;
/// The table that is changed.
pub(crate) const TABLE: &str = "create table ledger (key bigint primary key, seq bigint not null, \
                                checksum bigint not null)";

/// Changes rows until it is told to stop: each key's seq counts up from 1.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<BTreeMap<i64, i64>>,
}

impl Load {
    /// Starts on a table made by [`TABLE`].
    pub(crate) fn start(server: Arc<Postgres>, database: String) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, counted) = (Arc::clone(&stop), Arc::clone(&written));
        let thread = std::thread::spawn(move || {
            let mut last: BTreeMap<i64, i64> = BTreeMap::new();
            let mut random = 0x2545_F491_4F6C_DD1D_u64;
            while !told.load(Ordering::Relaxed) {
                let mut sql = String::new();
                for _ in 0..20 {
                    sql.push_str("begin;");
                    for _ in 0..5 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let key = (random % KEYS as u64) as i64;
                        let seq = last.entry(key).and_modify(|s| *s += 1).or_insert(1);
                        let sum = checksum(key, *seq);
                        sql.push_str(&format!(
                            "insert into ledger values ({key},{seq},{sum}) on conflict (key) do \
                             update set seq={seq}, checksum={sum};"
                        ));
                    }
                    sql.push_str("commit;");
                }
                server.psql(&database, &sql).unwrap();
                counted.fetch_add(100, Ordering::Relaxed);
            }
            last
        });
        Self { stop, written, thread }
    }

    /// Rows changed so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Stops; the last seq of each key.
    pub(crate) fn finish(self) -> BTreeMap<i64, i64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// The rows of a topic, as the ledger sees them.
pub(crate) fn arrived(records: &[Stored]) -> Ledger {
    let mut ledger = Ledger::default();
    for record in records {
        let row = record.json();
        let field = |name: &str| row[name].as_i64().unwrap();
        ledger.arrived(field("key"), field("seq"), field("checksum"));
    }
    ledger
}
