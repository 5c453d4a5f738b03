//! Rejects a row that there is not.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, rows: u32) {
        output.rejects = vec![guest::Reject { row: rows, verdict: guest::Verdict::Drop }];
    }
}

guest::component!(Rule);
