//! Traps, loops and takes memory in turns.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn process(batch: &guest::Batch) -> Result<guest::Output, String> {
        for number in guest::numbers(batch) {
            match number % 4 {
                1 => panic!("{number}"),
                2 => guest::spin(),
                3 => drop(std::hint::black_box(vec![1_u8; 1 << 30])),
                _ => {}
            }
        }
        Ok(guest::answer(batch))
    }
}

guest::component!(Rule);
