//! What the stream says of tables that are being read beside it. A window opens before the read is
//! asked for; rows of the read whose keys the stream changed afterwards, in transactions that the
//! read did not see, are older than what was delivered already, and are left out.

use std::collections::{HashSet, VecDeque};

use wasmgate_codec::pgoutput::{Tuple, TupleValue};

use super::visible::Visible;
use crate::catalog::TableName;
use crate::table::Table;

/// Changes that a window remembers while its read runs; with more the read is done again.
const SEEN_MAX: usize = 200_000;
/// Transactions of the stream that are remembered: more than a server has connections, so that one
/// which committed long ago and is not visible yet is among them.
const RECENT: usize = 4096;

/// The values of a key, in its order, each with its length before it.
pub(crate) type Key = Box<[u8]>;

/// Writes one value of a key.
pub(crate) fn push_key(key: &mut Vec<u8>, value: &[u8]) {
    key.extend_from_slice(&(value.len() as u32).to_be_bytes());
    key.extend_from_slice(value);
}

/// A table that is being read.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub name: TableName,
    /// Names of the columns that its rows are told apart by; empty: they cannot be.
    pub key: Vec<String>,
    /// Places of the key in the tuples of the schema of this id.
    places: Option<(u64, Option<Vec<usize>>)>,
}

impl Tracked {
    pub(crate) fn new(name: TableName, key: Vec<String>) -> Self {
        Self { name, key, places: None }
    }

    /// The key of a tuple; `None`: the tuple does not have all of it.
    fn key_of(&mut self, table: &Table, tuple: Tuple<'_>) -> Option<Key> {
        let id = table.schema.id;
        if self.places.as_ref().is_none_or(|(of, _)| *of != id) {
            let place = |name: &String| table.columns.iter().position(|c| c.name == *name);
            self.places = Some((id, self.key.iter().map(place).collect()));
        }
        let places = self.places.as_ref()?.1.as_ref()?;
        let mut key = Vec::with_capacity(16 * places.len());
        for place in places {
            match tuple.iter().nth(*place)? {
                TupleValue::Text(value) => push_key(&mut key, value),
                _ => return None,
            }
        }
        Some(key.into())
    }
}

/// What a change did to a key of a tracked table.
#[derive(Debug)]
enum Seen {
    Row(u32, usize, Key),
    /// All rows of the table are gone.
    Table(u32, usize),
    /// Rows that cannot be told.
    Unknown(u32),
}

/// One read beside the stream.
#[derive(Debug)]
pub(crate) struct Window {
    pub number: u64,
    tables: Vec<Tracked>,
    /// Transactions of the stream before it opened.
    before: u64,
    /// What the read saw, once it is known.
    visible: Option<Visible>,
    /// Until then.
    seen: Vec<Seen>,
    changed: HashSet<(usize, Key)>,
    /// Tables of which no row may be taken.
    lost: HashSet<usize>,
    /// The read has to be done again.
    pub spoiled: bool,
}

impl Window {
    fn note(&mut self, seen: Seen) {
        match &self.visible {
            None if self.seen.len() >= SEEN_MAX => self.spoiled = true,
            None => self.seen.push(seen),
            Some(visible) => match seen {
                Seen::Row(xid, table, key) if !visible.sees(xid) => {
                    self.changed.insert((table, key));
                }
                Seen::Table(xid, table) if !visible.sees(xid) => {
                    self.lost.insert(table);
                }
                Seen::Unknown(xid) => self.spoiled |= !visible.sees(xid),
                _ => {}
            },
        }
    }

    /// Whether a row of the read is older than what was delivered.
    pub(crate) fn is_stale(&self, table: usize, key: &[u8]) -> bool {
        if self.lost.contains(&table) {
            return true;
        }
        !self.changed.is_empty() && self.changed.contains(&(table, key.into()))
    }

    /// The keys of a table whose rows are stale; `None`: all are.
    pub(crate) fn stale_keys(&self, table: usize) -> Option<HashSet<Key>> {
        let of = |(t, key): &(usize, Key)| (*t == table).then(|| key.clone());
        (!self.lost.contains(&table)).then(|| self.changed.iter().filter_map(of).collect())
    }
}

/// The images of a change that say which rows it touched.
pub(crate) struct Touched<'a> {
    /// The row is new.
    pub inserted: bool,
    pub old: Option<Tuple<'a>>,
    pub new: Option<Tuple<'a>>,
}

/// Everything that the stream looks out for.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Its inserted rows are signals.
    pub signal_table: Option<TableName>,
    /// Rows of it that came and were not looked at: id, type, data.
    pub signals: Vec<[String; 3]>,
    windows: VecDeque<Window>,
    recent: VecDeque<u32>,
    transactions: u64,
}

impl Watch {
    /// A transaction begins.
    pub(crate) fn begin(&mut self, xid: u32) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(xid);
        self.transactions += 1;
    }

    /// A change of the stream. Nothing touched: all rows are gone.
    pub(crate) fn change(&mut self, table: &Table, xid: i64, touched: &Touched<'_>) {
        if self.windows.is_empty() && self.signal_table.is_none() {
            return;
        }
        let xid = xid as u32;
        if self.signal_table.as_ref() == Some(&table.name)
            && let Touched { inserted: true, new: Some(row), .. } = touched
        {
            self.signals.push(signal(*row));
        }
        for window in &mut self.windows {
            let found = window.tables.iter_mut().enumerate().find(|(_, t)| t.name == table.name);
            let Some((number, tracked)) = found else { continue };
            let images: Vec<_> = touched.old.into_iter().chain(touched.new).collect();
            let keys: Option<Vec<Key>> =
                images.iter().map(|tuple| tracked.key_of(table, *tuple)).collect();
            match keys {
                _ if images.is_empty() => window.note(Seen::Table(xid, number)),
                // Without a key rows cannot be told apart: none is left out.
                _ if tracked.key.is_empty() => {}
                None => window.note(Seen::Unknown(xid)),
                Some(keys) => {
                    keys.into_iter().for_each(|key| window.note(Seen::Row(xid, number, key)));
                }
            }
        }
    }

    /// A read is going to begin.
    pub(crate) fn open(&mut self, number: u64, tables: Vec<Tracked>) {
        self.windows.push_back(Window {
            number,
            tables,
            before: self.transactions,
            visible: None,
            seen: Vec::new(),
            changed: HashSet::new(),
            lost: HashSet::new(),
            spoiled: false,
        });
    }

    /// It is known what a read saw.
    pub(crate) fn read(&mut self, number: u64, visible: Visible) {
        let Some(window) = self.windows.iter_mut().find(|w| w.number == number) else { return };
        // Streamed before the window opened, and yet not seen by the read.
        let after = usize::try_from(self.transactions - window.before).unwrap_or(usize::MAX);
        let mut before = self.recent.iter().rev().skip(after);
        window.spoiled |= before.any(|xid| !visible.sees(*xid));
        window.visible = Some(visible);
        for seen in std::mem::take(&mut window.seen) {
            window.note(seen);
        }
    }

    /// Takes a window away.
    pub(crate) fn close(&mut self, number: u64) -> Option<Window> {
        let place = self.windows.iter().position(|w| w.number == number)?;
        self.windows.remove(place)
    }

    /// Forgets every window.
    pub(crate) fn close_all(&mut self) {
        self.windows.clear();
    }
}

/// The first three columns of a row, whatever their names.
fn signal(row: Tuple<'_>) -> [String; 3] {
    let mut values = row.iter().map(|value| match value {
        TupleValue::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    });
    [(); 3].map(|()| values.next().unwrap_or_default())
}
