use super::*;
use crate::dump::asked;

const GIB: u64 = 1 << 30;

fn place(offset: u64) -> Place {
    Place { file: "binlog.000007".into(), offset }
}

#[test]
fn a_place_beyond_32_bits_is_reached_from_the_beginning_of_its_file() {
    assert_eq!(asked(&place(4)), 4);
    assert_eq!(asked(&place(4 * GIB - 1)), 4 * GIB - 1);
    // 100, which is what 32 bits make of it, is the place of another event.
    assert_eq!(asked(&place(4 * GIB + 100)), 4);
}

#[test]
fn places_go_on_beyond_32_bits() {
    let event = |end: u64, size: u32| Raw {
        kind: kind::XID,
        server_id: 1,
        timestamp: 0,
        size,
        end: end as u32,
        body: &[],
    };
    let mut at = place(4);
    for round in 1..=10 {
        let end = round * GIB + 100;
        let start = behind(&mut at, &event(end, 100));
        assert_eq!((start.offset, at.offset), (end - 100, end), "{round}");
    }
}
