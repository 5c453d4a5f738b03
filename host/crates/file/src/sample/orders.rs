//! Changes of the table `public.orders`, as Debezium's envelopes without schemas.

use std::io::Write;

use wasmgate_codec::json::{write_float, write_int, write_string};

use super::Made;
use super::draw::Draw;

/// What happens in every eight records: which of the four orders of the round, and what.
const ROUND: [(u64, Change); 8] = [
    (0, Change::Create),
    (1, Change::Create),
    (0, Change::Update),
    (2, Change::Create),
    (1, Change::Update),
    (3, Change::Create),
    (1, Change::Delete),
    (1, Change::Tombstone),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Create,
    Update,
    Delete,
    Tombstone,
}

const FIRST: [&str; 8] = ["Ana", "Ben", "Chloé", "Diego", "Elif", "Farid", "Grace", "Hana"];
const LAST: [&str; 8] = ["Ito", "Jansen", "Kaya", "Lopez", "Müller", "Novak", "Okafor", "Silva"];
const PRODUCTS: [&str; 6] =
    ["Laptop", "Phone case", "27\" monitor", "Desk lamp", "USB-C cable", "Headphones"];

/// Makes changes of orders.
#[derive(Debug)]
pub(super) struct Orders {
    seed: u64,
    topic: String,
    /// The start of every source block.
    source: Vec<u8>,
}

impl Orders {
    pub(super) fn new(seed: u64, prefix: &str) -> Self {
        let mut source = b",\"source\":{\"version\":".to_vec();
        write_string(env!("CARGO_PKG_VERSION"), &mut source);
        source.extend_from_slice(b",\"connector\":\"postgresql\",\"name\":");
        write_string(prefix, &mut source);
        source.extend_from_slice(
            br#","db":"sourcedb","schema":"public","table":"orders","snapshot":"false""#,
        );
        Self { seed, topic: format!("{prefix}.public.orders"), source }
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn make(&self, n: u64, record: &mut Made) {
        let round = ROUND.len() as u64;
        let Some(&(order, change)) = ROUND.get((n % round) as usize) else { return };
        let id = (n / round).saturating_mul(4).saturating_add(order + 1);
        let Made { key, value, time_ms } = record;
        push(key, format_args!("{{\"order_id\":{id}}}"));
        let (before, after, op) = match change {
            Change::Create => (None, Some("new"), 'c'),
            Change::Update => (Some("new"), Some("paid"), 'u'),
            Change::Delete => (Some("paid"), None, 'd'),
            Change::Tombstone => return,
        };
        for (name, status) in [("{\"before\":", before), (",\"after\":", after)] {
            value.extend_from_slice(name.as_bytes());
            match status {
                Some(status) => self.image(id, status, value),
                None => value.extend_from_slice(b"null"),
            }
        }
        value.extend_from_slice(&self.source);
        let (tx, lsn) = (1000 + n, 0x0100_0000 + n * 128);
        push(
            value,
            format_args!(",\"ts_ms\":{time_ms},\"txId\":{tx},\"lsn\":{lsn},\"xmin\":null}}"),
        );
        push(value, format_args!(",\"transaction\":null,\"op\":\"{op}\",\"ts_ms\":{time_ms}}}"));
    }

    /// One order. Everything but its status follows from its number.
    fn image(&self, id: u64, status: &str, out: &mut Vec<u8>) {
        let draw = Draw::new(self.seed, id);
        push(out, format_args!("{{\"order_id\":{id},\"customer_name\":"));
        let name = format!("{} {}", draw.one_of(1, &FIRST), draw.one_of(2, &LAST));
        write_string(&name, out);
        out.extend_from_slice(b",\"product\":");
        write_string(draw.one_of(3, &PRODUCTS), out);
        push(out, format_args!(",\"quantity\":{},\"price\":", 1 + draw.below(4, 9)));
        write_float((99 + draw.below(5, 150_000)) as f64 / 100.0, out);
        push(out, format_args!(",\"status\":\"{status}\",\"created_at\":"));
        let created = (super::EPOCH_MS.saturating_add(id * 2)).saturating_mul(1000);
        write_int(i64::try_from(created).unwrap_or(i64::MAX), out);
        out.push(b'}');
    }
}

/// Appends formatted text.
pub(super) fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    out.write_fmt(text).ok();
}
