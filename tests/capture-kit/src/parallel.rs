//! Several connections that read whole tables.

use std::collections::BTreeMap;

use crate::event::Event;

/// Ids of the rows that were read, by table, sorted; panics where a row came twice.
#[must_use]
pub fn ids(all: &[Event]) -> BTreeMap<String, Vec<i64>> {
    let mut ids: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for event in all.iter().filter(|e| e.op == "r") {
        let table = event.value["source"]["table"].as_str().unwrap().to_owned();
        ids.entry(table).or_default().push(event.after()["id"].as_i64().unwrap());
    }
    for (table, ids) in &mut ids {
        ids.sort_unstable();
        assert!(ids.windows(2).all(|w| w[0] < w[1]), "a row of {table} came twice");
    }
    ids
}

/// What the rows say of their place in the snapshot, in order.
#[must_use]
pub fn marks(all: &[Event]) -> Vec<&str> {
    let read = all.iter().filter(|e| e.op == "r");
    read.filter_map(|e| e.value["source"]["snapshot"].as_str()).collect()
}
