//! What the stream says of tables that are being read beside it. A window opens before the read is
//! asked for; rows of the read whose keys the stream changed after what the read saw are older than
//! what was delivered already, and are left out. Which changes those are, a database knows.

use std::collections::{HashSet, VecDeque};

use crate::name::{Named, TableName};

/// The values of a key, in its order, each with its length before it.
pub type Key = Box<[u8]>;

/// Writes one value of a key.
pub fn push_key(key: &mut Vec<u8>, value: &[u8]) {
    key.extend_from_slice(&(value.len() as u32).to_be_bytes());
    key.extend_from_slice(value);
}

/// A table that is being read. `C`: places of its key's columns.
#[derive(Debug)]
pub struct Tracked<C> {
    name: TableName,
    /// Names of the columns that its rows are told apart by; empty: they cannot be.
    pub key: Vec<String>,
    /// Their places in the version of the table with this schema id.
    columns: Option<(u64, Option<C>)>,
    changed: HashSet<Key>,
    /// No row of it may be taken.
    lost: bool,
}

impl<C> Tracked<C> {
    /// A table that nothing was said of yet.
    #[must_use]
    pub fn new(name: TableName, key: Vec<String>) -> Self {
        Self { name, key, columns: None, changed: HashSet::new(), lost: false }
    }

    /// Places of the key's columns in the version of the table with this schema id; `None`: it has
    /// not all of them. `find` is asked once per version.
    pub fn columns(
        &mut self,
        schema: u64,
        find: impl FnOnce(&[String]) -> Option<C>,
    ) -> Option<&C> {
        if self.columns.as_ref().is_none_or(|(of, _)| *of != schema) {
            self.columns = Some((schema, find(&self.key)));
        }
        self.columns.as_ref()?.1.as_ref()
    }
}

/// One read beside the stream.
#[derive(Debug)]
pub struct Window<C, S> {
    number: u64,
    tables: Vec<Tracked<C>>,
    /// What tells whether the read saw a change.
    pub sight: S,
    /// The read has to be done again.
    pub spoiled: bool,
}

impl<C, S> Window<C, S> {
    /// A table that is read, and its number.
    pub fn table(&mut self, name: &impl Named) -> Option<(usize, &mut Tracked<C>)> {
        let parts = name.parts();
        self.tables.iter_mut().enumerate().find(|(_, table)| table.name.parts() == parts)
    }

    /// Whether a table is read.
    #[must_use]
    pub fn reads(&self, name: &impl Named) -> bool {
        self.tables.iter().any(|table| table.name.parts() == name.parts())
    }

    /// The stream changed a row that the read may have older.
    pub fn change(&mut self, table: usize, key: Key) {
        if let Some(table) = self.tables.get_mut(table) {
            table.changed.insert(key);
        }
    }

    /// All rows of a table that the read may have are gone.
    pub fn lose(&mut self, table: usize) {
        if let Some(table) = self.tables.get_mut(table) {
            table.lost = true;
        }
    }

    /// How many rows the stream changed.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.tables.iter().map(|table| table.changed.len()).sum()
    }

    /// Whether a row of the read may be older than what was delivered; `None`: its key cannot be
    /// told, as then a change of it spoils the window.
    #[must_use]
    pub fn is_stale(&self, table: usize, key: Option<&Key>) -> bool {
        let Some(table) = self.tables.get(table) else { return false };
        table.lost || key.is_some_and(|key| table.changed.contains(key))
    }

    /// The keys of a table whose rows are stale; `None`: all are.
    #[must_use]
    pub fn stale_keys(&self, table: usize) -> Option<HashSet<Key>> {
        let table = self.tables.get(table)?;
        (!table.lost).then(|| table.changed.clone())
    }
}

/// All reads beside the stream.
#[derive(Debug)]
pub struct Windows<C, S>(VecDeque<Window<C, S>>);

impl<C, S> Default for Windows<C, S> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<C, S> Windows<C, S> {
    /// A read is going to begin.
    pub fn open(&mut self, number: u64, tables: Vec<Tracked<C>>, sight: S) {
        self.0.push_back(Window { number, tables, sight, spoiled: false });
    }

    /// The window of a read.
    pub fn get(&mut self, number: u64) -> Option<&mut Window<C, S>> {
        self.0.iter_mut().find(|window| window.number == number)
    }

    /// Takes a window away; `None`: there is none, or the read has to be done again.
    pub fn close(&mut self, number: u64) -> Option<Window<C, S>> {
        let place = self.0.iter().position(|window| window.number == number)?;
        self.0.remove(place).filter(|window| !window.spoiled)
    }

    /// Forgets every window.
    pub fn close_all(&mut self) {
        self.0.clear();
    }

    /// Whether nothing is read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a table is read.
    #[must_use]
    pub fn read(&self, name: &impl Named) -> bool {
        self.0.iter().any(|window| window.reads(name))
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Window<C, S>> {
        self.0.iter_mut()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn key(values: &[&str]) -> Key {
        let mut key = Vec::new();
        values.iter().for_each(|value| push_key(&mut key, value.as_bytes()));
        key.into()
    }

    #[test]
    fn rows_that_changed_are_stale_and_those_of_a_table_that_is_gone() {
        let name = |table: &str| TableName { schema: "s".into(), table: table.into() };
        let mut windows = Windows::<usize, ()>::default();
        let tables = ["a", "b"].map(|t| Tracked::new(name(t), vec!["id".into()]));
        windows.open(1, tables.into(), ());
        windows.open(2, Vec::new(), ());
        assert!(windows.read(&name("b")) && !windows.read(&name("c")));
        let window = windows.get(1).unwrap();
        assert_eq!(window.table(&name("b")).unwrap().0, 1);
        window.change(0, key(&["1", "2"]));
        window.lose(1);
        assert_eq!(window.changes(), 1);
        let window = windows.close(1).unwrap();
        assert!(window.is_stale(0, Some(&key(&["1", "2"]))));
        assert!(!window.is_stale(0, Some(&key(&["12", ""]))) && !window.is_stale(0, None));
        assert!(window.is_stale(1, Some(&key(&["7"]))) && window.is_stale(1, None));
        assert_eq!(window.stale_keys(0), Some(HashSet::from([key(&["1", "2"])])));
        assert_eq!(window.stale_keys(1), None);
        windows.get(2).unwrap().spoiled = true;
        assert!(windows.close(2).is_none(), "what is spoiled is of no use");
        assert!(windows.is_empty());
    }

    #[test]
    fn places_of_a_key_are_looked_for_once_per_version() {
        let name = TableName { schema: "s".into(), table: "t".into() };
        let mut table = Tracked::new(name, vec!["id".into()]);
        assert_eq!(table.columns(7, |key| Some(key.len())), Some(&1));
        assert_eq!(table.columns(7, |_| panic!("it is known")), Some(&1));
        assert_eq!(table.columns(8, |_| None), None);
    }
}
