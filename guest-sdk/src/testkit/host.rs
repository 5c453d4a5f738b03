//! What the host lends, for native tests: collectors and maps of the test's own thread.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::column::TextBuilder;
use crate::log::Level;

#[derive(Default)]
struct Host {
    logs: Vec<(Level, String)>,
    counters: BTreeMap<String, u64>,
    gauges: BTreeMap<String, f64>,
    state: BTreeMap<String, Vec<u8>>,
    tables: BTreeMap<String, Table>,
    now_us: i64,
}

/// Rows by key; a row is fields with their text.
type Table = BTreeMap<String, BTreeMap<String, String>>;

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

fn with<R>(call: impl FnOnce(&mut Host) -> R) -> R {
    HOST.with_borrow_mut(call)
}

/// Sets what `clock::now_us` gives on this thread.
pub fn set_time_us(now_us: i64) {
    with(|host| host.now_us = now_us);
}

/// Sets one row of a reference table, as texts, for `lookup::get` on this thread.
pub fn set_lookup_table(table: &str, key: &str, fields: &[(&str, &str)]) {
    let row = fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    with(|host| {
        host.tables.entry(table.to_owned()).or_default().insert(key.to_owned(), row.collect());
    });
}

/// The logs and counters since the last call.
pub(crate) fn take() -> (Vec<(Level, String)>, BTreeMap<String, u64>) {
    with(|host| (std::mem::take(&mut host.logs), std::mem::take(&mut host.counters)))
}

pub mod log {
    use super::{Level, with};

    pub fn write(level: Level, message: &str) {
        with(|host| host.logs.push((level, message.to_owned())));
    }
}

pub mod metrics {
    use super::with;

    pub fn add(counter: &str, by: u64) {
        with(|host| *host.counters.entry(counter.to_owned()).or_default() += by);
    }

    pub fn set(gauge: &str, to: f64) {
        with(|host| host.gauges.insert(gauge.to_owned(), to));
    }

    /// Counted as `HISTOGRAM_count`.
    pub fn observe(histogram: &str, samples: &[f64]) {
        add(&format!("{histogram}_count"), samples.len() as u64);
    }
}

pub mod clock {
    pub fn now_us() -> i64 {
        super::with(|host| host.now_us)
    }
}

/// Entries live as long as the thread: a test has no time in which they could expire.
pub mod state {
    use super::with;

    pub fn get(keys: &[String]) -> Vec<Option<Vec<u8>>> {
        with(|host| keys.iter().map(|key| host.state.get(key).cloned()).collect())
    }

    pub fn put(entries: &[(String, Vec<u8>)], _ttl_ms: Option<u64>) {
        with(|host| host.state.extend(entries.iter().cloned()));
    }

    pub fn remove(keys: &[String]) {
        with(|host| host.state.retain(|key, _| !keys.contains(key)));
    }

    pub fn add(keys: &[String], deltas: &[i64], _ttl_ms: Option<u64>) -> Vec<i64> {
        let add = |(key, delta): (&String, &i64)| {
            with(|host| {
                let stored = host.state.entry(key.clone()).or_default();
                let before = stored.as_slice().try_into().map_or(0, i64::from_le_bytes);
                let after = before.saturating_add(*delta);
                *stored = after.to_le_bytes().to_vec();
                after
            })
        };
        keys.iter().zip(deltas).map(add).collect()
    }
}

pub mod lookup {
    use super::{TextBuilder, with};
    use crate::column::ColumnBuilder as _;
    use crate::contract::{Column, Read, TextForm};

    /// Texts only: what [`super::set_lookup_table`] was given.
    pub fn get(
        table: &str,
        keys: &[String],
        fields: &[Read],
        _texts: TextForm,
    ) -> Result<Vec<Column>, String> {
        with(|host| {
            let rows = host.tables.get(table).ok_or_else(|| format!("no table `{table}`"))?;
            let column = |field: &Read| {
                let mut builder = TextBuilder::with_rows(keys.len());
                for key in keys {
                    match rows.get(key).and_then(|row| row.get(&field.name)) {
                        Some(text) => builder.push(text),
                        None => builder.push_null(),
                    }
                }
                builder.finish()
            };
            Ok(fields.iter().map(column).collect())
        })
    }
}
