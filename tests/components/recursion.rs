//! Calls itself without end on one record.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn before(batch: &guest::Batch) {
        std::hint::black_box(deeper(batch.rows.into()));
    }
}

#[allow(unconditional_recursion, reason = "the point")]
fn deeper(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 8]);
    deeper(here[0] + 1) + here[7]
}

guest::component!(Rule);
