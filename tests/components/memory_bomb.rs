//! Takes memory without end on one record.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn before(_batch: &guest::Batch) {
        let mut hoard: Vec<Vec<u8>> = Vec::new();
        loop {
            hoard.push(vec![1; 1 << 20]);
            std::hint::black_box(&hoard);
        }
    }
}

guest::component!(Rule);
