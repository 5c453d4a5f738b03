//! What the stream says of tables that are being read beside it. A window opens, where no
//! transaction is open, before the read is asked for; rows of the read whose keys the stream
//! changed since are left out: the stream has told them as new or newer. The read saw nothing that
//! the stream has not told by the time the window closes, and it has to have seen everything that
//! the stream had told before the window opened, else it is done again.

use std::collections::{HashSet, VecDeque};

use wasmgate_codec::mysqlvalue::{ColumnType, Image};

use super::chunk::Saw;
use super::key::{Key, push_value, text_of};
use crate::catalog::TableName;
use crate::gtid::GtidSet;
use crate::state::Place;
use crate::table::Table;

/// Keys that a window remembers; with more the read is done again.
const CHANGED_MAX: usize = 200_000;

/// Places and types of columns.
pub(crate) type Columns = Vec<(usize, ColumnType)>;

/// A table that is being read.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub name: TableName,
    /// Columns that its rows are told apart by.
    pub key: Vec<String>,
    /// Their places and types in the version of the table with this schema id.
    places: Option<(u64, Option<Columns>)>,
}

impl Tracked {
    pub(crate) fn new(name: TableName, key: Vec<String>) -> Self {
        Self { name, key, places: None }
    }

    /// The key of an image; `None`: it cannot be told.
    fn key_of(&mut self, table: &Table, image: &Image<'_>) -> Option<Key> {
        let id = table.schema.id;
        if self.places.as_ref().is_none_or(|(of, _)| *of != id) {
            self.places = Some((id, places(table, &self.key)));
        }
        let places = self.places.as_ref()?.1.as_ref()?;
        let mut key = Vec::with_capacity(16 * places.len());
        for (place, ty) in places {
            let value = image.values(&table.wires).nth(*place)?;
            if !push_value(&mut key, ty, value) {
                return None;
            }
        }
        Some(key.into())
    }
}

/// Places and types of columns in a table; `None`: it has not all of them.
pub(crate) fn places(table: &Table, key: &[String]) -> Option<Columns> {
    let place = |name: &String| {
        let place = table.all.iter().position(|(column, _)| column == name)?;
        Some((place, table.all.get(place)?.1.clone()?))
    };
    key.iter().map(place).collect()
}

/// One read beside the stream.
#[derive(Debug)]
pub(crate) struct Window {
    number: u64,
    tables: Vec<Tracked>,
    /// What the stream had told when it opened.
    told: (GtidSet, Place),
    changed: HashSet<(usize, Key)>,
    /// Tables of which no row may be taken.
    lost: HashSet<usize>,
    /// The read has to be done again.
    spoiled: bool,
}

impl Window {
    /// Whether the read has to be done again.
    pub(crate) fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// Whether a row of the read may be older than what was delivered.
    pub(crate) fn is_stale(&self, table: usize, key: Option<&Key>) -> bool {
        if self.lost.contains(&table) {
            return true;
        }
        // A change of a row whose key cannot be told spoils the window.
        let Some(key) = key.filter(|_| !self.changed.is_empty()) else { return false };
        self.changed.contains(&(table, key.clone()))
    }
}

/// Everything that the stream looks out for.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Its inserted rows are signals.
    signal_table: Option<TableName>,
    /// Rows of it that came and were not looked at: id, type, data.
    pub signals: Vec<[String; 3]>,
    windows: VecDeque<Window>,
}

impl Watch {
    pub(crate) fn new(signal_table: Option<TableName>) -> Self {
        Self { signal_table, ..Self::default() }
    }

    /// Whether changes of a table are of interest.
    pub(crate) fn wants(&self, name: &TableName) -> bool {
        self.signal_table.as_ref() == Some(name)
            || self.windows.iter().any(|w| w.tables.iter().any(|t| t.name == *name))
    }

    /// A change of a table that is [wanted](Watch::wants), by its one image or its two.
    pub(crate) fn change(
        &mut self,
        table: &Table,
        inserted: bool,
        (first, second): &(Image<'_>, Option<Image<'_>>),
    ) {
        if inserted && self.signal_table.as_ref() == Some(&table.name) {
            self.signals.push(signal(table, first));
        }
        for window in &mut self.windows {
            let found = window.tables.iter_mut().enumerate().find(|(_, t)| t.name == table.name);
            let Some((number, tracked)) = found else { continue };
            for image in [Some(first), second.as_ref()].into_iter().flatten() {
                match tracked.key_of(table, image) {
                    Some(key) if window.changed.len() < CHANGED_MAX => {
                        window.changed.insert((number, key));
                    }
                    _ => window.spoiled = true,
                }
            }
        }
    }

    /// All rows of a table are gone.
    pub(crate) fn emptied(&mut self, name: &TableName) {
        for window in &mut self.windows {
            if let Some(number) = window.tables.iter().position(|t| t.name == *name) {
                window.lost.insert(number);
            }
        }
    }

    /// A read is going to begin. No transaction is open; `told` is what the stream has told.
    pub(crate) fn open(&mut self, number: u64, tables: Vec<Tracked>, told: (GtidSet, Place)) {
        self.windows.push_back(Window {
            number,
            tables,
            told,
            changed: HashSet::new(),
            lost: HashSet::new(),
            spoiled: false,
        });
    }

    /// It is known what a read saw for certain.
    pub(crate) fn read(&mut self, number: u64, saw: &Saw) {
        let Some(window) = self.windows.iter_mut().find(|w| w.number == number) else { return };
        let (executed, place) = &window.told;
        window.spoiled |= match saw {
            Saw::Set(set) => !executed.is_subset(set),
            Saw::Until(until) => place > until,
            Saw::BeforeMark => false,
        };
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

/// The first three columns of a row, whatever their names, as text.
fn signal(table: &Table, row: &Image<'_>) -> [String; 3] {
    let mut values = row.values(&table.wires).zip(&table.all).map(|(value, (_, ty))| {
        let text = ty.as_ref().zip(value).and_then(|(ty, value)| text_of(ty, value));
        text.unwrap_or_default()
    });
    [(); 3].map(|()| values.next().unwrap_or_default())
}
