//! What the stream says of tables that are being read beside it. A window opens before the read is
//! asked for; rows of the read whose keys the stream changed afterwards, in transactions that the
//! read did not see, are older than what was delivered already, and are left out.

use std::collections::VecDeque;

use wasmgate_codec::pgoutput::Tuple;
use wasmgate_replication::incremental::{self, Key, Windows, push_key};

use super::chunk::places;
use super::visible::Visible;
use crate::catalog::TableName;
use crate::table::Table;

/// Changes that a window remembers while its read runs; with more the read is done again.
const SEEN_MAX: usize = 200_000;
/// Transactions of the stream that are remembered: more than a server has connections, so that one
/// which committed long ago and is not visible yet is among them.
const RECENT: usize = 4096;

/// A table that is being read, with the places of its key in tuples.
pub(crate) type Tracked = incremental::Tracked<Vec<usize>>;
/// One read beside the stream.
pub(crate) type Window = incremental::Window<Vec<usize>, Sight>;

/// The key of a tuple; `None`: the tuple does not have all of it.
fn key_of(tracked: &mut Tracked, table: &Table, tuple: Tuple<'_>) -> Option<Key> {
    let places = tracked.columns(table.schema.id, |key| places(table, key))?;
    let mut key = Vec::with_capacity(16 * places.len());
    for place in places {
        push_key(&mut key, &table.columns.get(*place)?.text(tuple.iter().nth(*place)?)?);
    }
    Some(key.into())
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

/// What a read saw.
#[derive(Debug)]
pub(crate) struct Sight {
    /// Transactions of the stream before the window opened.
    before: u64,
    /// What the read saw, once it is known.
    visible: Option<Visible>,
    /// Until then.
    seen: Vec<Seen>,
}

fn note(window: &mut Window, seen: Seen) {
    let Some(visible) = &window.sight.visible else {
        match window.sight.seen.len() {
            SEEN_MAX.. => window.spoiled = true,
            _ => window.sight.seen.push(seen),
        }
        return;
    };
    match seen {
        Seen::Row(xid, table, key) if !visible.sees(xid) => window.change(table, key),
        Seen::Table(xid, table) if !visible.sees(xid) => window.lose(table),
        Seen::Unknown(xid) => window.spoiled |= !visible.sees(xid),
        _ => {}
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
    pub windows: Windows<Vec<usize>, Sight>,
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
            self.signals.push(signal(table, *row));
        }
        for window in self.windows.iter_mut() {
            let Some((number, tracked)) = window.table(&table.name) else { continue };
            let images: Vec<_> = touched.old.into_iter().chain(touched.new).collect();
            let keys: Option<Vec<Key>> =
                images.iter().map(|tuple| key_of(tracked, table, *tuple)).collect();
            match keys {
                _ if images.is_empty() => note(window, Seen::Table(xid, number)),
                // Without a key rows cannot be told apart: none is left out.
                _ if tracked.key.is_empty() => {}
                None => note(window, Seen::Unknown(xid)),
                Some(keys) => {
                    keys.into_iter().for_each(|key| note(window, Seen::Row(xid, number, key)));
                }
            }
        }
    }

    /// A read is going to begin.
    pub(crate) fn open(&mut self, number: u64, tables: Vec<Tracked>) {
        let sight = Sight { before: self.transactions, visible: None, seen: Vec::new() };
        self.windows.open(number, tables, sight);
    }

    /// It is known what a read saw.
    pub(crate) fn read(&mut self, number: u64, visible: Visible) {
        let Some(window) = self.windows.get(number) else { return };
        // Streamed before the window opened, and yet not seen by the read.
        let after = usize::try_from(self.transactions - window.sight.before).unwrap_or(usize::MAX);
        let mut before = self.recent.iter().rev().skip(after);
        window.spoiled |= before.any(|xid| !visible.sees(*xid));
        window.sight.visible = Some(visible);
        for seen in std::mem::take(&mut window.sight.seen) {
            note(window, seen);
        }
    }
}

/// The first three columns of a row, whatever their names.
fn signal(table: &Table, row: Tuple<'_>) -> [String; 3] {
    let mut values = table.columns.iter().zip(row.iter()).map(|(column, value)| {
        let text = column.text(value).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    });
    [(); 3].map(|()| values.next().unwrap_or_default())
}
