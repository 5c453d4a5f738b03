//! Rejects the same row twice, which is as far from ascending as one row gets.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, rows: u32) {
        let drop = |row| guest::Reject { row, verdict: guest::Verdict::Drop };
        output.rejects = vec![drop(rows - 1), drop(0)];
    }
}

guest::component!(Rule);
