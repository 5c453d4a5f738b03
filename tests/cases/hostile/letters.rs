//! Dead letters of a module and a policy that mean harm.

use std::fs;

use wasmgate_tests::gateway::wait_lines;
use wasmgate_tests::guests::{Guest, component};
use wasmgate_tests::root;

use super::start::Place;

/// Every record has a place of its own for its dead letter, and each is a file.
pub(super) fn files_of_dead_letters_are_few_at_a_time(guest: Guest) {
    const RECORDS: i64 = 200;
    /// Open at once, as docs/operations.md says.
    const FILES: usize = 64;
    let topics: String = (0..RECORDS).map(|n| format!("c{n}: t{n}, ")).collect();
    let policy = format!("policy: {{ module: policy, config: {{ topics: {{ {topics} }} }} }}");
    let decides = fs::read(root().join("transforms/dlq-decision.wasm")).unwrap();
    let modules: [(&str, &[u8]); 2] = [("guest", &component(guest)), ("policy", &decides)];
    let place = Place::with_policy("{ module: guest }", &policy, &modules);
    let started = place.start();
    let dir = fs::canonicalize(started.place.dir.path()).unwrap().join("dlq");
    for round in 1..=2 {
        started.place.feed(0..RECORDS);
        wait_lines(&started.gateway, &dir, (round * RECORDS) as usize);
        let fds = fs::read_dir(format!("/proc/{}/fd", started.gateway.pid())).unwrap();
        let links = fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        let open = links.filter(|link| link.starts_with(&dir)).count();
        assert!((1..=FILES).contains(&open), "{open} files of dead letters are open");
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), RECORDS as usize);
    started.good_goes_on();
    started.stops();
}
