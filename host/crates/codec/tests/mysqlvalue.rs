//! MySQL's values: layouts with known bytes, and no panic on any bytes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use proptest::prelude::*;
use wasmgate_codec::mysqlvalue::{
    Charset, Datum, Described, MappedColumn, Modes, RowsEvent, RowsKind, TableMap, Wires,
    apply_diffs, column_type, mysql_type as t, push, wire, write_json,
};
use wasmgate_model::Column;

/// Types by name, and their numbers and metadata in the log.
const KINDS: &[(&str, (u8, u16))] = &[
    ("tinyint", (t::TINY, 0)),
    ("int", (t::LONG, 0)),
    ("bigint", (t::LONGLONG, 0)),
    ("varchar", (t::VARCHAR, 80)),
    ("varchar", (t::VARCHAR, 800)),
    ("text", (t::BLOB, 2)),
    ("blob", (t::BLOB, 1)),
    ("double", (t::DOUBLE, 0)),
    ("float", (t::FLOAT, 0)),
    ("decimal", (t::NEWDECIMAL, 0x020a)),
    ("date", (t::DATE, 0)),
    ("datetime", (t::DATETIME2, 0)),
    ("datetime", (t::DATETIME2, 2)),
    ("datetime", (t::DATETIME2, 6)),
    ("timestamp", (t::TIMESTAMP2, 3)),
    ("time", (t::TIME2, 6)),
    // A definition that says something else than the log.
    ("int", (t::VARCHAR, 80)),
    ("varchar", (t::LONG, 0)),
];

const TYPES: &[&str] = &[
    "tinyint",
    "bigint",
    "float",
    "double",
    "decimal",
    "date",
    "time",
    "datetime",
    "timestamp",
    "year",
    "char",
    "varchar",
    "binary",
    "blob",
    "text",
    "enum",
    "set",
    "bit",
    "json",
    "vector",
    "uuid",
    "inet4",
    "inet6",
    "point",
    "geometry",
];

fn described<'a>(ty: &'a str, charset: &'a Charset, labels: &'a Arc<[String]>) -> Described<'a> {
    Described {
        data_type: ty,
        unsigned: false,
        charset: Some(charset),
        labels,
        length: 10,
        scale: Some(2),
        digits: 6,
        nullable: false,
    }
}

fn mapped((ty, meta): (u8, u16)) -> MappedColumn {
    MappedColumn {
        ty,
        meta,
        nullable: true,
        unsigned: None,
        name: None,
        collation: None,
        labels: Vec::new(),
        geometry: None,
    }
}

proptest! {
    #[test]
    fn values_are_the_same_on_the_short_way_and_on_the_long_one(
        picks in prop::collection::vec((0_usize..KINDS.len(), any::<bool>()), 1..70),
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(2), 0x30_u8..0x7b, any::<u8>()], 0..600),
    ) {
        let labels: Arc<[String]> = Arc::from(["a".to_owned()]);
        let wires: Wires =
            picks.iter().filter_map(|(i, unsigned)| wire(&mapped(KINDS[*i].1), *unsigned)).collect();
        let kind = |(i, kept): &(usize, bool)| {
            let described = described(KINDS[*i].0, &Charset::Utf8, &labels);
            // Some columns are left out of the records.
            column_type(&described, &Modes::default()).filter(|_| *kept || *i % 3 != 0)
        };
        let types: Vec<_> = picks.iter().map(kind).collect();
        let columns = picks.len();
        let mut body = vec![1, 0, 0, 0, 0, 0, 1, 0, 2, 0, columns as u8];
        body.extend(std::iter::repeat_n(0xff, columns.div_ceil(8)));
        body.extend_from_slice(&bytes);
        let mut event = RowsEvent::parse(RowsKind::Insert, true, &body).unwrap();
        prop_assert!(event.is_whole());
        let new = || types.iter().flatten().map(|t| Column::new(t.kind)).collect::<Vec<_>>();
        while let Ok(Some((image, _))) = event.next(&wires) {
            let (mut short, mut long, mut wrong) = (new(), new(), None);
            let failed = image.fill(&wires, &types, &mut short, None);
            let mut fields = long.iter_mut();
            for (i, (value, ty)) in image.values(&wires).zip(&types).enumerate() {
                let Some(ty) = ty else { continue };
                let column = fields.next().unwrap();
                match value.map(|value| push(column, ty, value)) {
                    None => column.push_null(),
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        column.push_null();
                        wrong.get_or_insert((i, error));
                    }
                }
            }
            prop_assert_eq!(format!("{short:?}"), format!("{long:?}"));
            prop_assert_eq!(failed, wrong);
        }
    }

    #[test]
    fn no_bytes_make_events_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0_u8..45) {
        drop(TableMap::parse(&bytes, kind % 2 == 0));
        if let Some((kind, v2)) = RowsKind::of(kind)
            && let Ok(mut event) = RowsEvent::parse(kind, v2, &bytes)
        {
            let columns = event.columns.min(64);
            let wires: Wires = (0..columns)
                .filter_map(|i| {
                    let mapped = MappedColumn {
                        ty: *bytes.get(i)?,
                        meta: u16::from(*bytes.get(i / 2)?),
                        nullable: true,
                        unsigned: None,
                        name: None,
                        collation: None,
                        labels: Vec::new(),
                        geometry: None,
                    };
                    wire(&mapped, i % 2 == 0)
                })
                .collect();
            let labels: Arc<[String]> = Arc::from(["a".to_owned()]);
            let types: Vec<_> = wires
                .iter()
                .enumerate()
                .map(|(i, _)| {
                    let ty = TYPES.get(i % TYPES.len()).copied().unwrap_or("int");
                    column_type(&described(ty, &Charset::Utf8, &labels), &Modes::default())
                })
                .collect();
            for _ in 0..20 {
                let Ok(Some((first, second))) = event.next(&wires) else { break };
                let mut columns: Vec<Column> =
                    types.iter().flatten().map(|t| Column::new(t.kind)).collect();
                first.fill(&wires, &types, &mut columns, None);
                if let Some(second) = second {
                    second.fill(&wires, &types, &mut columns, Some(&first));
                }
                let rows = columns.first().map_or(0, Column::len);
                prop_assert!(columns.iter().all(|c| c.len() == rows), "columns stay aligned");
            }
        }
    }

    #[test]
    fn no_bytes_make_values_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), n in any::<u64>()) {
        let labels: Arc<[String]> = Arc::from(["a".to_owned(), "b".to_owned()]);
        let charsets = ["utf8mb4", "utf16", "utf16le", "utf32", "sjis", "gbk", "big5", "binary"];
        for name in charsets {
            let charset = Charset::named(name).unwrap();
            for ty in TYPES {
                let ty = column_type(&described(ty, &charset, &labels), &Modes::default()).unwrap();
                let mut column = Column::new(ty.kind);
                let data = [
                    Datum::Raw(&bytes), Datum::Text(&bytes), Datum::Json(&bytes),
                    Datum::Bits(&bytes), Datum::Labels(n), Datum::Int(n as i64),
                    Datum::Unsigned(n), Datum::Packed(&bytes, n as u8, (n >> 8) as u8),
                    Datum::Time(n as i64 >> 16), Datum::Instant(n as i64),
                ];
                for datum in data {
                    let before = column.len();
                    let pushed = push(&mut column, &ty, datum);
                    prop_assert_eq!(column.len(), before + usize::from(pushed.is_ok()));
                }
            }
        }
        let (half, rest) = bytes.split_at(bytes.len() / 2);
        let _written = write_json(&bytes, &mut Vec::new());
        let _applied = apply_diffs(half, rest, &mut Vec::new());
    }
}

#[test]
fn decimals_of_every_shape() {
    let labels: Arc<[String]> = Arc::from([]);
    let ty = column_type(&described("decimal", &Charset::Binary, &labels), &Modes::default());
    let ty = ty.unwrap();
    // (bytes, precision, scale, text), as MySQL writes them
    let cases: &[(&[u8], u8, u8, &str)] = &[
        (&[0x80, 0x00, 0x00, 0x01, 0x0a], 10, 2, "1.10"),
        (&[0x7f, 0xff, 0xff, 0xfe, 0xf5], 10, 2, "-1.10"),
        (&[0x80, 0x00, 0x00, 0x00, 0x00], 10, 2, "0.00"),
        (&[0x81, 0x86, 0x9f], 5, 0, "99999"),
        (&[0x80, 0x00, 0x00, 0x01], 9, 9, "0.000000001"),
    ];
    for (bytes, precision, scale, want) in cases {
        let mut column = Column::new(ty.kind);
        push(&mut column, &ty, Datum::Packed(bytes, *precision, *scale)).unwrap();
        assert_eq!(column.text(0), Some(*want));
    }
    for (text, want) in [("0001.50", "1.50"), ("-0.10", "-0.10"), ("00.00", "0.00"), ("000", "0")] {
        let mut column = Column::new(ty.kind);
        push(&mut column, &ty, Datum::Text(text.as_bytes())).unwrap();
        assert_eq!(column.text(0), Some(want), "ZEROFILL is no part of the number");
    }
}

#[test]
fn images_without_every_column_count_their_nulls_by_the_columns_they_have() {
    let kinds = [(t::LONG, 0), (t::VARCHAR, 80), (t::LONG, 0), (t::TINY, 0)];
    let wires: Wires = kinds.iter().filter_map(|kind| wire(&mapped(*kind), false)).collect();
    // The second column is in no image. Of the others the third is null, then the first; the bits
    // behind theirs mean nothing.
    let mut body = vec![1, 0, 0, 0, 0, 0, 1, 0, 2, 0, 4, 0b1101];
    body.extend_from_slice(&[0b1111_1010, 7, 0, 0, 0, 8]);
    body.extend_from_slice(&[0b1111_1001, 9, 0, 0, 0, 3]);
    let mut event = RowsEvent::parse(RowsKind::Insert, true, &body).unwrap();
    assert!(!event.is_whole());
    let int = |n| Some(Datum::Int(n));
    for want in [[int(7), None, None, int(8)], [None, None, int(9), int(3)]] {
        let (image, _) = event.next(&wires).unwrap().unwrap();
        let mut got = image.values(&wires);
        assert_eq!(want.map(|_| got.next().unwrap()), want);
    }
    assert!(event.next(&wires).unwrap().is_none());
}
