//! What the stream says of tables that are being read beside it. A window opens, where no
//! transaction is open, before the read is asked for; rows of the read whose keys the stream
//! changed since are left out: the stream has told them as new or newer. The read saw nothing that
//! the stream has not told by the time the window closes, and it has to have seen everything that
//! the stream had told before the window opened, else it is done again.

use wasmgate_codec::mysqlvalue::{ColumnType, Image};
use wasmgate_replication::incremental::{self, Key, Windows};

use super::chunk::Saw;
use super::key::{push_value, text_of};
use crate::catalog::TableName;
use crate::gtid::GtidSet;
use crate::state::Place;
use crate::table::Table;

/// Keys that a window remembers; with more the read is done again.
const CHANGED_MAX: usize = 200_000;

/// Places and types of columns.
pub(crate) type Columns = Vec<(usize, ColumnType)>;

/// A table that is being read, with the places of its key in rows.
pub(crate) type Tracked = incremental::Tracked<Columns>;
/// One read beside the stream, with what the stream had told when it opened.
pub(crate) type Window = incremental::Window<Columns, Told>;
/// What the stream has told.
pub(crate) type Told = (GtidSet, Place);

/// The key of an image; `None`: it cannot be told.
fn key_of(tracked: &mut Tracked, table: &Table, image: &Image<'_>) -> Option<Key> {
    let places = tracked.columns(table.schema.id, |key| places(table, key))?;
    let mut key = Vec::with_capacity(16 * places.len());
    for (place, ty) in places {
        let value = image.values(&table.wires).nth(*place)?;
        if !push_value(&mut key, ty, value) {
            return None;
        }
    }
    Some(key.into())
}

/// Places and types of columns in a table; `None`: it has not all of them.
pub(crate) fn places(table: &Table, key: &[String]) -> Option<Columns> {
    let place = |name: &String| {
        let place = table.all.iter().position(|(column, _)| column == name)?;
        Some((place, table.all.get(place)?.1.clone()?))
    };
    key.iter().map(place).collect()
}

/// Everything that the stream looks out for.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Its inserted rows are signals.
    signal_table: Option<TableName>,
    /// Rows of it that came and were not looked at: id, type, data.
    pub signals: Vec<[String; 3]>,
    pub windows: Windows<Columns, Told>,
}

impl Watch {
    pub(crate) fn new(signal_table: Option<TableName>) -> Self {
        Self { signal_table, ..Self::default() }
    }

    /// Whether changes of a table are of interest.
    pub(crate) fn wants(&self, name: &TableName) -> bool {
        self.signal_table.as_ref() == Some(name) || self.windows.read(name)
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
        for window in self.windows.iter_mut() {
            let Some((number, tracked)) = window.table(&table.name) else { continue };
            let images = [Some(first), second.as_ref()];
            let keys = images.map(|image| Some(key_of(tracked, table, image?)));
            for key in keys.into_iter().flatten() {
                match key {
                    Some(key) if window.changes() < CHANGED_MAX => window.change(number, key),
                    _ => window.spoiled = true,
                }
            }
        }
    }

    /// All rows of a table are gone.
    pub(crate) fn emptied(&mut self, name: &TableName) {
        for window in self.windows.iter_mut() {
            if let Some((number, _)) = window.table(name) {
                window.lose(number);
            }
        }
    }

    /// It is known what a read saw for certain.
    pub(crate) fn read(&mut self, number: u64, saw: &Saw) {
        let Some(window) = self.windows.get(number) else { return };
        let (executed, place) = &window.sight;
        window.spoiled |= match saw {
            Saw::Set(set) => !executed.is_subset(set),
            Saw::Until(until) => place > until,
            Saw::BeforeMark => false,
        };
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
