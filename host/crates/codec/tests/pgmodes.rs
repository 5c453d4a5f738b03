//! Postgres values in the modes that Debezium's `*.handling.mode` options ask for, the types that
//! only some of them have, and what each is in Connect's terms.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use serde_json::Value;
use wasmgate_codec::pgvalue::{
    BinaryMode, ColumnType, DecimalMode, PgTypeKind, TimePrecision, TypeInfo, ValueModes,
    column_type, push_text, push_zero,
};
use wasmgate_model::{Column, ConnectSchema, ConnectShape};

fn base(name: &str) -> TypeInfo {
    TypeInfo { name: name.into(), kind: PgTypeKind::Base, sent: None }
}

fn extension(name: &str) -> ColumnType {
    column_type(90_000, -1, Some(&base(name)), &ValueModes::default()).unwrap()
}

fn name(schema: &ConnectSchema) -> &str {
    schema.name.as_deref().unwrap_or("")
}

fn time(precision: TimePrecision) -> ValueModes {
    ValueModes { time: precision, ..ValueModes::default() }
}

#[test]
fn times_by_precision() {
    use TimePrecision as P;
    // oid, modifier, text, [(precision, JSON, schema)]
    type Case = (u32, i32, &'static str, &'static [(P, &'static str, &'static str)]);
    let cases: &[Case] = &[
        (
            1082,
            -1,
            "2024-02-29",
            &[
                (P::Adaptive, "19782", "io.debezium.time.Date"),
                (P::Connect, "19782", "org.apache.kafka.connect.data.Date"),
                (P::IsoString, "\"2024-02-29Z\"", "io.debezium.time.IsoDate"),
                (P::Nanoseconds, "19782", "io.debezium.time.Date"),
            ],
        ),
        (
            1083,
            3,
            "13:14:15.12",
            &[
                (P::Adaptive, "47655120", "io.debezium.time.Time"),
                (P::AdaptiveTimeMicroseconds, "47655120000", "io.debezium.time.MicroTime"),
                (P::Connect, "47655120", "org.apache.kafka.connect.data.Time"),
                (P::IsoString, "\"13:14:15.12Z\"", "io.debezium.time.IsoTime"),
                (P::Microseconds, "47655120000", "io.debezium.time.MicroTime"),
                (P::Nanoseconds, "47655120000000", "io.debezium.time.NanoTime"),
            ],
        ),
        (
            1114,
            3,
            "2024-02-29 13:14:15.12",
            &[
                (P::Adaptive, "1709212455120", "io.debezium.time.Timestamp"),
                (P::AdaptiveTimeMicroseconds, "1709212455120", "io.debezium.time.Timestamp"),
                (P::Connect, "1709212455120", "org.apache.kafka.connect.data.Timestamp"),
                (P::IsoString, "\"2024-02-29T13:14:15.12Z\"", "io.debezium.time.IsoTimestamp"),
                (P::Microseconds, "1709212455120000", "io.debezium.time.MicroTimestamp"),
                (P::Nanoseconds, "1709212455120000000", "io.debezium.time.NanoTimestamp"),
            ],
        ),
        (
            1114,
            -1,
            "9999-12-31 00:00:00",
            &[
                (P::Adaptive, "253402214400000000", "io.debezium.time.MicroTimestamp"),
                (P::Nanoseconds, "9223372036854775807", "io.debezium.time.NanoTimestamp"),
            ],
        ),
        (
            1184,
            0,
            "0044-03-15 00:00:00+00 BC",
            &[(P::Nanoseconds, "\"-0043-03-15T00:00:00Z\"", "io.debezium.time.ZonedTimestamp")],
        ),
        (
            1115,
            3,
            "{\"2024-02-29 13:14:15.12\"}",
            &[
                (P::IsoString, "[\"2024-02-29T13:14:15.12Z\"]", ""),
                (P::Connect, "[1709212455120]", ""),
            ],
        ),
    ];
    for (oid, modifier, text, wants) in cases {
        for (precision, json, schema) in *wants {
            let ty = column_type(*oid, *modifier, None, &time(*precision)).unwrap();
            assert_eq!(ty.json(text.as_bytes()).as_deref(), Some(*json), "{text} {precision:?}");
            assert_eq!(name(&ty.schema()), *schema, "{text} {precision:?}");
        }
    }
}

/// PG-04: a timestamp that 64 bits do not hold becomes the nearest number that they do, in every
/// precision; nothing wraps.
#[test]
fn pg_04_timestamps_never_wrap() {
    use TimePrecision as P;
    let late = "294276-12-31 23:59:59.999999";
    for (precision, want) in [
        (P::Adaptive, "9223372036854775807"),
        (P::Microseconds, "9223372036854775807"),
        (P::Nanoseconds, "9223372036854775807"),
        (P::Connect, "9224318015999999"),
        (P::IsoString, "\"+294276-12-31T23:59:59.999999Z\""),
    ] {
        let ty = column_type(1114, -1, None, &time(precision)).unwrap();
        assert_eq!(ty.json(late.as_bytes()).as_deref(), Some(want), "{precision:?}");
    }
    let nanos = column_type(1114, -1, None, &time(P::Nanoseconds)).unwrap();
    let early = nanos.json(b"0044-03-15 00:00:00 BC");
    assert_eq!(early.as_deref(), Some("-9223372036854775808"));
}

#[test]
fn bytes_intervals_maps_and_money() {
    let modes = |set: &dyn Fn(&mut ValueModes)| {
        let mut modes = ValueModes::default();
        set(&mut modes);
        modes
    };
    for (binary, want) in [
        (BinaryMode::Bytes, "\"+/8=\""),
        (BinaryMode::Base64, "\"+/8=\""),
        (BinaryMode::Base64UrlSafe, "\"-_8=\""),
        (BinaryMode::Hex, "\"fbff\""),
    ] {
        let ty = column_type(17, -1, None, &modes(&|m| m.binary = binary)).unwrap();
        assert_eq!(ty.json(b"\\xfbff").as_deref(), Some(want), "{binary:?}");
        let is_text = ty.schema().shape == ConnectShape::String;
        assert_eq!(is_text, binary != BinaryMode::Bytes, "{binary:?}");
    }
    let text = modes(&|m| m.interval_text = true);
    let interval = column_type(1186, -1, None, &text).unwrap();
    assert_eq!(name(&interval.schema()), "io.debezium.time.Interval");
    for (given, want) in [
        ("1 year 2 mons 3 days 04:05:06.789", "P1Y2M3DT4H5M6.789S"),
        ("-1 years -2 mons +3 days -04:05:06.789", "P-1Y-2M3DT-4H-5M-6.789S"),
        ("-00:00:00.5", "P0Y0M0DT0H0M-0.5S"),
        ("00:00:00", "P0Y0M0DT0H0M0S"),
        ("infinity", "infinity"),
    ] {
        assert_eq!(interval.json(given.as_bytes()), Some(format!("\"{want}\"")), "{given}");
    }
    let hstore = |map| {
        let modes = modes(&|m| m.hstore_map = map);
        column_type(90_000, -1, Some(&base("hstore")), &modes).unwrap()
    };
    let given = b"\"a\"=>\"1\", \"b\"=>NULL";
    assert_eq!(hstore(true).json(given).as_deref(), Some(r#"{"a":"1","b":null}"#));
    assert_eq!(hstore(false).json(given).as_deref(), Some(r#""{\"a\":\"1\",\"b\":null}""#));
    assert!(matches!(hstore(true).schema().shape, ConnectShape::Map(_)));
    let money = |digits, text: &str| {
        let set = |m: &mut ValueModes| (m.decimal, m.money_digits) = (DecimalMode::String, digits);
        column_type(790, -1, None, &modes(&set)).unwrap().json(text.as_bytes()).unwrap()
    };
    for (digits, text, want) in [
        (2, "-$1,234.50", "-1234.50"),
        (4, "$12.34", "12.3400"),
        (1, "$12.35", "12.4"),
        (0, "-$99.50", "-100"),
        (0, "$9.49", "9"),
    ] {
        assert_eq!(money(digits, text), format!("\"{want}\""), "{text} with {digits}");
    }
}

#[test]
fn types_of_extensions() {
    let point = "0101000020E6100000000000000000F03F0000000000000040";
    for (ty, text, want, schema) in [
        ("vector", "[1,2.5,-0.1]", "[1.0,2.5,-0.1]", "io.debezium.data.DoubleVector"),
        ("halfvec", "[1,0.1]", "[1.0,0.1]", "io.debezium.data.FloatVector"),
        (
            "sparsevec",
            "{1:1.5,3:2}/5",
            r#"{"dimensions":5,"vector":[[1,1.5],[3,2.0]]}"#,
            "io.debezium.data.SparseDoubleVector",
        ),
        (
            "geometry",
            point,
            r#"{"wkb":"AQEAACDmEAAAAAAAAAAA8D8AAAAAAAAAQA==","srid":4326}"#,
            "io.debezium.data.geometry.Geometry",
        ),
        (
            "geography",
            "0101000000000000000000F03F0000000000000040",
            r#"{"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null}"#,
            "io.debezium.data.geometry.Geography",
        ),
        ("ltree", "a.b", "\"a.b\"", "io.debezium.data.Ltree"),
        ("citext", "Ab", "\"Ab\"", ""),
    ] {
        let ty = extension(ty);
        assert_eq!(ty.json(text.as_bytes()).as_deref(), Some(want), "{text}");
        assert_eq!(name(&ty.schema()), schema);
        for wrong in ["", "[1", "x", "{1}/", "01"] {
            let json = ty.json(wrong.as_bytes());
            let valid = json.iter().all(|j| serde_json::from_str::<Value>(j).is_ok());
            assert!(valid, "{wrong}: {json:?}");
        }
    }
}

#[test]
fn figures_have_numbers_as_the_driver_writes_them() {
    let modes = ValueModes { unknown: true, binary: BinaryMode::Hex, ..ValueModes::default() };
    for (oid, text, want) in [
        (628, "{1,-1,0}", "{1.0,-1.0,0.0}"),
        (718, "<(1e+10,0.0001),Infinity>", "<(1.0E10,1.0E-4),Infinity>"),
        (604, "((0,1.25e-05),(12345678.5,1))", "((0.0,1.25E-5),(1.23456785E7,1.0))"),
    ] {
        let json = column_type(oid, -1, None, &modes).unwrap().json(text.as_bytes()).unwrap();
        assert_eq!(json, format!("\"{}\"", hex(want.as_bytes())), "{text}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// PG-06: arrays are as deep in the schema as they were declared.
#[test]
fn pg_06_arrays_of_arrays_say_so() {
    let ty = column_type(1007, -1, None, &ValueModes::default()).unwrap().with_dimensions(2);
    let ConnectShape::Array(outer) = ty.schema().shape else { panic!("no array") };
    let ConnectShape::Array(inner) = outer.shape else { panic!("not nested") };
    assert_eq!((inner.shape, inner.optional), (ConnectShape::Int32, true));
    assert_eq!(ty.json(b"{{1,2},{3,NULL}}").as_deref(), Some("[[1,2],[3,null]]"));
}

#[test]
fn what_the_reference_leaves_out_is_had_by_option() {
    let all = ValueModes { unknown: true, all_arrays: true, ..ValueModes::default() };
    let some = ValueModes { unknown: true, ..ValueModes::default() };
    let composite = TypeInfo { name: "comp".into(), kind: PgTypeKind::Other, sent: None };
    let array = |element, inner: Option<TypeInfo>| TypeInfo {
        name: "_x".into(),
        kind: PgTypeKind::Array { element, inner: inner.map(Box::new) },
        sent: None,
    };
    let domain = TypeInfo {
        name: "d".into(),
        kind: PgTypeKind::Domain { base: 23, typmod: -1 },
        sent: None,
    };
    let cases = [
        (composite.clone(), "(1,\"x\")", Some("\"KDEsIngiKQ==\""), true),
        (base("cube"), "(1)", Some("\"KDEp\""), true),
        (array(1186, None), "{\"1 day\"}", Some("[86400000000]"), false),
        (array(600, None), "{\"(0,0)\"}", None, false),
        (array(90_001, Some(domain)), "{1}", Some("[1]"), false),
        (array(90_002, Some(composite)), "{\"(1,x)\"}", Some("[\"KDEseCk=\"]"), false),
    ];
    for (info, text, want, unknown) in cases {
        let none = column_type(90_000, -1, Some(&info), &ValueModes::default());
        assert_eq!(none, None, "{info:?}");
        assert_eq!(column_type(90_000, -1, Some(&info), &some).is_some(), unknown, "{info:?}");
        let json = column_type(90_000, -1, Some(&info), &all).unwrap().json(text.as_bytes());
        assert!(json.is_some(), "{info:?}");
        if want.is_some() {
            assert_eq!(json.as_deref(), want, "{info:?}");
        }
    }
}

/// Every choice in turn.
fn every_mode() -> Vec<ValueModes> {
    use TimePrecision as P;
    let precisions = [P::Adaptive, P::AdaptiveTimeMicroseconds, P::Connect, P::IsoString];
    let precisions = precisions.into_iter().chain([P::Microseconds, P::Nanoseconds]);
    let decimals = [DecimalMode::Precise, DecimalMode::Double, DecimalMode::String];
    let with = |(n, time)| ValueModes {
        time,
        decimal: decimals[n % 3],
        binary: [BinaryMode::Bytes, BinaryMode::Base64UrlSafe, BinaryMode::Hex][n % 3],
        hstore_map: n % 2 == 0,
        interval_text: n % 2 == 0,
        money_digits: n as u8,
        unknown: true,
        all_arrays: true,
    };
    precisions.enumerate().map(with).collect()
}

/// Types by oid, and of extensions by name.
const OIDS: [u32; 36] = [
    16, 17, 18, 20, 21, 22, 23, 25, 26, 114, 142, 600, 603, 628, 700, 701, 718, 790, 1082, 1083,
    1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950, 3614, 3802, 1007, 1009, 1115, 1231, 1182, 1001,
];
const NAMES: [&str; 8] =
    ["hstore", "vector", "halfvec", "sparsevec", "geometry", "geography", "ltree", "cube"];

fn any_type(n: usize, modes: &ValueModes) -> ColumnType {
    match OIDS.get(n) {
        Some(oid) => column_type(*oid, -1, None, modes).unwrap(),
        None => column_type(90_000, -1, Some(&base(NAMES[n - OIDS.len()])), modes).unwrap(),
    }
}

#[test]
fn zeros_are_values_of_their_types() {
    for modes in every_mode() {
        for n in 0..OIDS.len() + NAMES.len() {
            let ty = any_type(n, &modes);
            let mut column = Column::new(ty.kind);
            push_zero(&mut column, &ty);
            assert_eq!(column.len(), 1, "{ty:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(
        n in 0..OIDS.len() + NAMES.len(),
        mode in 0..6_usize,
        text in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let ty = any_type(n, &every_mode()[mode]);
        let mut column = Column::new(ty.kind);
        let pushed = push_text(&mut column, &ty, &text);
        prop_assert_eq!(column.len(), usize::from(pushed.is_ok()));
    }

    #[test]
    fn likely_text_gives_json_or_an_error(
        n in 0..OIDS.len() + NAMES.len(),
        mode in 0..6_usize,
        text in "[-+0-9:. {},\"\\\\()\\[\\]/=>xNULLinfty]{0,24}|[0-9A-F]{0,60}",
    ) {
        let ty = any_type(n, &every_mode()[mode]);
        // text that claims to be JSON is the server's own and not looked at
        if let Some(json) = ty.json(text.as_bytes()) {
            let parsed = serde_json::from_str::<Value>(&json);
            prop_assert!(parsed.is_ok(), "{:?} {}: {}", ty, text, json);
        }
    }
}
