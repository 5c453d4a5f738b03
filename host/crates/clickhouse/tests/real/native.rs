//! Every type, written by us and read back by the engine as text.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wasmgate_clickhouse::Type;
use wasmgate_clickhouse::native::{BlockWriter, Cells, Options, Times};
use wasmgate_model::{Column, Kind, Logical, Values};
use wasmgate_services::clickhouse::ClickHouse;

use super::engine::{engine, unique};

/// A column of one kind from texts; `None` is NULL.
pub(crate) fn column(kind: Kind, values: &[Option<&str>]) -> Column {
    let mut column = Column::new(kind);
    for value in values {
        match value {
            None => column.push_null(),
            Some(text) => match &mut column.values {
                Values::Booleans(v) => v.push(*text == "true"),
                Values::Ints(v) => v.push(text.parse().unwrap()),
                Values::Floats(v) => v.push(text.parse().unwrap()),
                Values::Texts(b) | Values::Blobs(b) => b.push(text.as_bytes()),
            },
        }
    }
    column
}

/// Writes a column as `ty` and reads back `toString` of every row; NULL is `\N`.
pub(crate) fn through(
    engine: &ClickHouse,
    ty: &str,
    cells: &Cells<'_>,
    options: Options,
) -> Result<Vec<String>, String> {
    let parsed = Type::parse(ty).unwrap_or_else(|| panic!("{ty}"));
    let number = Type::parse("UInt64").unwrap();
    let mut block = BlockWriter::new([("n", &number), ("v", &parsed)], options);
    let mut misfits = Vec::new();
    let mut numbers = Column::new(Kind::Integer);
    (0..cells.rows.len() as i64).for_each(|n| numbers.push_int(n));
    let rows: Vec<u32> = (0..cells.rows.len() as u32).collect();
    block.push(
        0,
        &Cells {
            column: &numbers,
            kind: Kind::Integer,
            logical: &Logical::Plain,
            rows: &rows,
            absent_is_null: false,
        },
        &mut misfits,
    );
    block.push(1, cells, &mut misfits);
    if let Some(misfit) = misfits.first() {
        return Err(format!("{} {}", misfit.row, misfit.reason.code()));
    }
    let table = unique("types");
    let create = format!("CREATE TABLE {table} (n UInt64, v {ty}) ENGINE = MergeTree ORDER BY n");
    engine.query(&create).map_err(|e| format!("{ty}: {e}"))?;
    engine
        .post(&format!("/?query=INSERT%20INTO%20{table}%20(n,v)%20FORMAT%20Native&enable_time_time64_type=1"), &block.finish().concat())
        .map_err(|e| format!("{ty}: {e}"))?;
    let text = engine
        .query(&format!("SELECT if(isNull(v), '\\\\N', toString(v)) FROM {table} ORDER BY n FORMAT JSONCompactColumns"))
        .map_err(|e| format!("{ty}: {e}"))?;
    let columns: Vec<Vec<String>> =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{ty}: {e}: {text}"));
    engine.query(&format!("DROP TABLE {table}")).unwrap();
    Ok(columns.into_iter().next().unwrap_or_default())
}

struct Case {
    ty: &'static str,
    kind: Kind,
    logical: Logical,
    values: &'static [Option<&'static str>],
    want: &'static [&'static str],
}

fn case(
    ty: &'static str,
    kind: Kind,
    values: &'static [Option<&'static str>],
    want: &'static [&'static str],
) -> Case {
    Case { ty, kind, logical: Logical::Plain, values, want }
}

#[test]
fn edges_of_every_type_read_back() {
    let Some(engine) = engine() else { return };
    use Kind as K;
    let cases = [
        case("Bool", K::Boolean, &[Some("true"), Some("false")], &["true", "false"]),
        case("Int8", K::Integer, &[Some("-128"), Some("127")], &["-128", "127"]),
        case("UInt8", K::Integer, &[Some("0"), Some("255")], &["0", "255"]),
        case("Int16", K::Integer, &[Some("-32768"), Some("32767")], &["-32768", "32767"]),
        case("UInt16", K::Integer, &[Some("65535")], &["65535"]),
        case(
            "Int32",
            K::Integer,
            &[Some("-2147483648"), Some("2147483647")],
            &["-2147483648", "2147483647"],
        ),
        case("UInt32", K::Integer, &[Some("4294967295")], &["4294967295"]),
        case(
            "Int64",
            K::Integer,
            &[Some("-9223372036854775808"), Some("9223372036854775807")],
            &["-9223372036854775808", "9223372036854775807"],
        ),
        case(
            "UInt64",
            K::Decimal,
            &[Some("18446744073709551615"), Some("0")],
            &["18446744073709551615", "0"],
        ),
        case(
            "Int128",
            K::Decimal,
            &[Some("-170141183460469231731687303715884105728"), Some("5")],
            &["-170141183460469231731687303715884105728", "5"],
        ),
        case("Int128", K::Integer, &[Some("-1")], &["-1"]),
        case(
            "UInt128",
            K::Decimal,
            &[Some("340282366920938463463374607431768211455")],
            &["340282366920938463463374607431768211455"],
        ),
        case(
            "Int256",
            K::Decimal,
            &[Some(
                "-57896044618658097711785492504343953926634992332820282019728792003956564819968",
            )],
            &["-57896044618658097711785492504343953926634992332820282019728792003956564819968"],
        ),
        case(
            "UInt256",
            K::Decimal,
            &[Some(
                "115792089237316195423570985008687907853269984665640564039457584007913129639935",
            )],
            &["115792089237316195423570985008687907853269984665640564039457584007913129639935"],
        ),
        case(
            "Float64",
            K::Float,
            &[Some("-0.1"), Some("5e-324"), Some("inf")],
            &["-0.1", "5e-324", "inf"],
        ),
        case("Float32", K::Float, &[Some("0.5"), Some("-16777216")], &["0.5", "-16777216"]),
        case("Decimal(9, 2)", K::Decimal, &[Some("-9999999.99"), Some("1")], &["-9999999.99", "1"]),
        case("Decimal(18, 0)", K::Decimal, &[Some("999999999999999999")], &["999999999999999999"]),
        case(
            "Decimal(38, 10)",
            K::Decimal,
            &[Some("-1234567890123456789012345678.0123456789")],
            &["-1234567890123456789012345678.0123456789"],
        ),
        case(
            "Decimal(76, 38)",
            K::Decimal,
            &[Some(
                "99999999999999999999999999999999999999.00000000000000000000000000000000000001",
            )],
            &["99999999999999999999999999999999999999.00000000000000000000000000000000000001"],
        ),
        case("Decimal(10, 2)", K::Integer, &[Some("-7")], &["-7"]),
        case("String", K::Text, &[Some(""), Some("a\"\\\n\u{1F980}")], &["", "a\"\\\n\u{1F980}"]),
        case("String", K::Integer, &[Some("-5")], &["-5"]),
        case("String", K::TimestampUs, &[Some("-1")], &["1969-12-31 23:59:59.999999"]),
        case("String", K::DateDays, &[Some("11017")], &["2000-03-01"]),
        case("FixedString(3)", K::Text, &[Some("abc")], &["abc"]),
        case(
            "UUID",
            K::Uuid,
            &[Some("3f2504e0-4f89-11d3-9a0c-0305e82c3301")],
            &["3f2504e0-4f89-11d3-9a0c-0305e82c3301"],
        ),
        case("Date", K::DateDays, &[Some("0"), Some("65535")], &["1970-01-01", "2149-06-06"]),
        case(
            "Date32",
            K::DateDays,
            &[Some("-25567"), Some("120529")],
            &["1900-01-01", "2299-12-31"],
        ),
        case(
            "DateTime('UTC')",
            K::TimestampUs,
            &[Some("0"), Some("4294967295000000")],
            &["1970-01-01 00:00:00", "2106-02-07 06:28:15"],
        ),
        case(
            "DateTime64(6, 'UTC')",
            K::TimestampUs,
            &[Some("-2208988800000000"), Some("10413791999999999"), Some("1")],
            &[
                "1900-01-01 00:00:00.000000",
                "2299-12-31 23:59:59.999999",
                "1970-01-01 00:00:00.000001",
            ],
        ),
        case(
            "DateTime64(3, 'UTC')",
            K::TimestampUs,
            &[Some("1709209800123000")],
            &["2024-02-29 12:30:00.123"],
        ),
        case(
            "DateTime64(9, 'UTC')",
            K::TimestampUs,
            &[Some("1709209800123456")],
            &["2024-02-29 12:30:00.123456000"],
        ),
        case("Time64(6)", K::TimeUs, &[Some("86399999999")], &["23:59:59.999999"]),
        case("IPv4", K::Text, &[Some("192.168.0.1")], &["192.168.0.1"]),
        case(
            "IPv6",
            K::Text,
            &[Some("2001:db8::1"), Some("10.0.0.1")],
            &["2001:db8::1", "::ffff:10.0.0.1"],
        ),
        case("Enum8('a' = -1, 'b' = 2)", K::Text, &[Some("a"), Some("b")], &["a", "b"]),
        case("Enum16('x' = 1000)", K::Text, &[Some("x")], &["x"]),
        case(
            "JSON",
            K::Json,
            &[Some("{\"a\":{\"b\":1}}"), Some("{}")],
            &["{\"a\":{\"b\":1}}", "{}"],
        ),
        case("Nullable(Int32)", K::Integer, &[None, Some("7"), None], &["\\N", "7", "\\N"]),
        case("Nullable(String)", K::Text, &[Some(""), None], &["", "\\N"]),
        case("Nullable(Decimal(20, 4))", K::Decimal, &[None, Some("0.0001")], &["\\N", "0.0001"]),
        case("LowCardinality(String)", K::Text, &[Some("x"), Some(""), Some("x")], &["x", "", "x"]),
        case(
            "LowCardinality(Nullable(String))",
            K::Text,
            &[Some("x"), None, Some("")],
            &["x", "\\N", ""],
        ),
        case("Array(Int64)", K::Json, &[Some("[1,-2]"), None, Some("[]")], &["[1,-2]", "[]", "[]"]),
        case("Array(Nullable(String))", K::Json, &[Some("[null,\"a\"]")], &["[NULL,'a']"]),
        case(
            "Array(Array(UInt8))",
            K::Json,
            &[Some("[[1],[],[2,3]]"), Some("[]")],
            &["[[1],[],[2,3]]", "[]"],
        ),
        case(
            "Array(LowCardinality(Nullable(String)))",
            K::Json,
            &[Some("[\"a\",null,\"a\"]"), Some("[]")],
            &["['a',NULL,'a']", "[]"],
        ),
        case(
            "Map(String, Int64)",
            K::Json,
            &[Some("{\"a\":1,\"b\":2}"), None],
            &["{'a':1,'b':2}", "{}"],
        ),
        case(
            "Map(LowCardinality(String), Array(Float64))",
            K::Json,
            &[Some("{\"k\":[0.5]}")],
            &["{'k':[0.5]}"],
        ),
        case("Map(UInt8, Nullable(String))", K::Json, &[Some("{\"7\":null}")], &["{7:NULL}"]),
    ];
    let mut wrong = Vec::new();
    for case in &cases {
        let column = column(case.kind, case.values);
        let rows: Vec<u32> = (0..column.len() as u32).collect();
        let cells = Cells {
            column: &column,
            kind: case.kind,
            logical: &case.logical,
            rows: &rows,
            absent_is_null: false,
        };
        let found = through(&engine, case.ty, &cells, Options::default());
        if found.as_deref() != Ok(&case.want.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()) {
            wrong.push(format!(
                "{} from {:?}: want {:?}, found {found:?}",
                case.ty, case.kind, case.want
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_has_no_place_is_a_misfit_and_is_named() {
    use Kind as K;
    let cases: &[(&str, K, Option<&str>, &str)] = &[
        ("UInt64", K::Integer, Some("-5"), "out-of-range"),
        ("Int8", K::Integer, Some("128"), "out-of-range"),
        ("UInt256", K::Decimal, Some("-1"), "out-of-range"),
        ("Int32", K::Integer, None, "null-not-allowed"),
        ("LowCardinality(String)", K::Text, None, "null-not-allowed"),
        ("Decimal(4, 2)", K::Decimal, Some("100"), "out-of-range"),
        ("Decimal(4, 2)", K::Decimal, Some("1.234"), "too-precise"),
        ("Decimal(4, 2)", K::Decimal, Some("NaN"), "bad-value"),
        ("Float32", K::Float, Some("0.1"), "too-precise"),
        ("Float64", K::Integer, Some("9007199254740993"), "too-precise"),
        ("FixedString(2)", K::Text, Some("abc"), "too-long"),
        ("UUID", K::Uuid, Some("nope"), "bad-value"),
        ("Date", K::DateDays, Some("-1"), "out-of-range"),
        ("Date32", K::DateDays, Some("120530"), "out-of-range"),
        ("DateTime", K::TimestampUs, Some("1"), "too-precise"),
        ("DateTime64(6)", K::TimestampUs, Some("9223372036825200000"), "out-of-range"),
        ("DateTime64(9)", K::TimestampUs, Some("9300000000000000"), "out-of-range"),
        ("IPv4", K::Text, Some("::1"), "bad-value"),
        ("Enum8('a' = 1)", K::Text, Some("b"), "bad-value"),
        ("JSON", K::Json, Some("[1]"), "bad-value"),
        ("Array(UInt8)", K::Json, Some("[1,256]"), "out-of-range"),
        ("Array(UInt8)", K::Json, Some("[null]"), "null-not-allowed"),
        ("Array(Int64)", K::Json, Some("[\"x\"]"), "bad-value"),
        ("Map(String, UInt8)", K::Json, Some("{\"a\":-1}"), "out-of-range"),
        ("Bool", K::Text, Some("true"), "wrong-kind"),
    ];
    for (ty, kind, value, code) in cases {
        let good = column(*kind, &[*value]);
        let cells = Cells {
            column: &good,
            kind: *kind,
            logical: &Logical::Plain,
            rows: &[0],
            absent_is_null: false,
        };
        let parsed = Type::parse(ty).unwrap();
        let mut block = BlockWriter::new([("v", &parsed)], Options::default());
        let mut misfits = Vec::new();
        block.push(0, &cells, &mut misfits);
        let found = misfits.first().map(|m| (m.row, m.reason.code()));
        assert_eq!(found, Some((0, *code)), "{ty} {value:?}");
    }
}

#[test]
fn times_are_clamped_or_nulled_where_that_is_asked_for() {
    let Some(engine) = engine() else { return };
    let infinite = column(
        Kind::TimestampUs,
        &[Some("9223372036825200000"), Some("-9223372036832400000"), Some("5")],
    );
    let cells = Cells {
        column: &infinite,
        kind: Kind::TimestampUs,
        logical: &Logical::Plain,
        rows: &[0, 1, 2],
        absent_is_null: false,
    };
    let clamp = Options { times: Times::Clamp };
    let found = through(&engine, "DateTime64(6, 'UTC')", &cells, clamp).unwrap();
    assert_eq!(
        found,
        ["2299-12-31 23:59:59.999999", "1900-01-01 00:00:00.000000", "1970-01-01 00:00:00.000005"]
    );
    let found = through(&engine, "DateTime('UTC')", &cells, clamp).unwrap();
    assert_eq!(found, ["2106-02-07 06:28:15", "1970-01-01 00:00:00", "1970-01-01 00:00:00"]);
    let null = Options { times: Times::Null };
    let found = through(&engine, "Nullable(DateTime64(6, 'UTC'))", &cells, null).unwrap();
    assert_eq!(found, ["\\N", "\\N", "1970-01-01 00:00:00.000005"]);
}

/// What is given for a random number, and what the engine shows.
type Straight = (&'static str, Kind, fn(i64) -> String, fn(i64) -> String);

fn uuid(n: i64) -> String {
    let text = format!("{:032x}", (n as u64 as u128) << 64 | n.rotate_left(7) as u64 as u128);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

fn day(n: i64) -> i64 {
    n.rem_euclid(146_000) - 25_567
}

fn shown_day(days: i64) -> String {
    let (year, month, day) = wasmgate_codec::pgvalue::instant::civil_from_days(days);
    format!("{year:04}-{month:02}-{day:02}")
}

fn micros(n: i64) -> i64 {
    n.rem_euclid(12_000_000_000_000_000) - 2_200_000_000_000_000
}

fn shown_micros(us: i64) -> String {
    let (days, rest) = (us.div_euclid(86_400_000_000), us.rem_euclid(86_400_000_000));
    let s = rest / 1_000_000;
    let clock = format!("{:02}:{:02}:{:02}.{:06}", s / 3600, s / 60 % 60, s % 60, rest % 1_000_000);
    format!("{} {clock}", shown_day(days))
}

fn same(ty: &'static str, kind: Kind, text: fn(i64) -> String) -> Straight {
    (ty, kind, text, text)
}

fn straight() -> Vec<Straight> {
    vec![
        same("Bool", Kind::Boolean, |n| (n % 2 == 0).to_string()),
        same("Int8", Kind::Integer, |n| (n as i8).to_string()),
        same("UInt16", Kind::Integer, |n| (n as u16).to_string()),
        same("Int32", Kind::Integer, |n| (n as i32).to_string()),
        same("UInt64", Kind::Decimal, |n| (n as u64).to_string()),
        same("Int128", Kind::Decimal, |n| (i128::from(n) * 1_000_003).to_string()),
        same("Float32", Kind::Float, |n| (n as i16).to_string()),
        same("Float64", Kind::Float, |n| (n as i32).to_string()),
        same("Decimal(9, 0)", Kind::Integer, |n| (n % 1_000_000_000).to_string()),
        same("FixedString(8)", Kind::Text, |n| format!("{:08x}", n as u32)),
        same("LowCardinality(String)", Kind::Text, |n| (n % 300).to_string()),
        same("UUID", Kind::Uuid, uuid),
        same("IPv4", Kind::Text, |n| std::net::Ipv4Addr::from(n as u32).to_string()),
        same("Enum16('a' = -5, 'b' = 700)", Kind::Text, |n| ["a", "b"][(n & 1) as usize].into()),
        ("Date32", Kind::DateDays, |n| day(n).to_string(), |n| shown_day(day(n))),
        (
            "DateTime64(6, 'UTC')",
            Kind::TimestampUs,
            |n| micros(n).to_string(),
            |n| shown_micros(micros(n)),
        ),
        (
            "Array(Nullable(Int64))",
            Kind::Json,
            |n| format!("[{n},null]"),
            |n| format!("[{n},NULL]"),
        ),
        (
            "Map(String, Int64)",
            Kind::Json,
            |n| format!("{{\"k\":{n}}}"),
            |n| format!("{{'k':{n}}}"),
        ),
    ]
}

/// Random integers, decimals, texts and nulls survive the way there and back.
#[test]
fn random_values_read_back() {
    let Some(engine) = engine() else { return };
    let mut runner =
        TestRunner::new(Config { cases: 6, failure_persistence: None, ..Config::default() });
    let texts = proptest::collection::vec(proptest::option::weighted(0.8, "\\PC{0,12}"), 1..300);
    let numbers = proptest::collection::vec(proptest::option::weighted(0.9, any::<i64>()), 1..300);
    let digits = proptest::collection::vec("-?[1-9][0-9]{0,60}\\.[0-9]{1,14}[1-9]", 1..100);
    runner
        .run(&(texts, numbers, digits), |(texts, numbers, digits)| {
            let strings = |v: &[Option<String>]| {
                v.iter().map(|s| s.clone().unwrap_or("\\N".into())).collect::<Vec<_>>()
            };
            let check = |ty: &str, kind: Kind, values: &[Option<String>]| {
                let given: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
                let column = column(kind, &given);
                let rows: Vec<u32> = (0..column.len() as u32).collect();
                let cells = Cells {
                    column: &column,
                    kind,
                    logical: &Logical::Plain,
                    rows: &rows,
                    absent_is_null: false,
                };
                through(&engine, ty, &cells, Options::default())
            };
            prop_assert_eq!(
                check("Nullable(String)", Kind::Text, &texts).unwrap(),
                strings(&texts)
            );
            prop_assert_eq!(
                check("LowCardinality(Nullable(String))", Kind::Text, &texts).unwrap(),
                strings(&texts)
            );
            let numbers: Vec<_> = numbers.iter().map(|n| n.map(|n| n.to_string())).collect();
            prop_assert_eq!(
                check("Nullable(Int64)", Kind::Integer, &numbers).unwrap(),
                strings(&numbers)
            );
            prop_assert_eq!(
                check("Nullable(Int256)", Kind::Integer, &numbers).unwrap(),
                strings(&numbers)
            );
            let plain: Vec<i64> =
                numbers.iter().map(|n| n.as_ref().map_or(0, |n| n.parse().unwrap())).collect();
            for (ty, kind, given, want) in straight() {
                let given: Vec<_> = plain.iter().map(|n| Some(given(*n))).collect();
                let want: Vec<_> = plain.iter().map(|n| want(*n)).collect();
                prop_assert_eq!(check(ty, kind, &given).unwrap(), want, "{}", ty);
            }
            let digits: Vec<_> = digits.into_iter().map(Some).collect();
            prop_assert_eq!(
                check("Decimal(76, 15)", Kind::Decimal, &digits).unwrap(),
                strings(&digits)
            );
            Ok(())
        })
        .unwrap();
}

const TYPES: &[&str] = &[
    "Bool",
    "Int8",
    "UInt64",
    "Int256",
    "Float32",
    "Float64",
    "Decimal(9, 2)",
    "Decimal(76, 38)",
    "String",
    "FixedString(3)",
    "UUID",
    "Date",
    "Date32",
    "DateTime",
    "DateTime64(0)",
    "DateTime64(9)",
    "Time",
    "Time64(9)",
    "IPv4",
    "IPv6",
    "Enum8('a' = 1)",
    "JSON",
    "Nullable(Int32)",
    "LowCardinality(Nullable(String))",
    "LowCardinality(FixedString(2))",
    "Array(Array(Int16))",
    "Map(String, Array(Nullable(Decimal(5, 1))))",
    "Array(Map(UInt8, String))",
    "Nullable(DateTime64(6))",
];

const KINDS: &[Kind] = &[
    Kind::Boolean,
    Kind::Integer,
    Kind::Float,
    Kind::Text,
    Kind::Bytes,
    Kind::Json,
    Kind::Decimal,
    Kind::Uuid,
    Kind::TimestampUs,
    Kind::DateDays,
    Kind::TimeUs,
];

/// Bytes that look like something, or like nothing.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        "[-0-9.eE+:a-f\\[\\]{}\", ]{0,24}".prop_map(String::into_bytes),
        "\\{\"[a-c]\":(-?[0-9]{1,30}|null|\\[[0-9,]{0,6}\\]|\"x\")\\}".prop_map(String::into_bytes),
        "\\[(null|-?[0-9]{1,6}|\"[a-z]\")(,(null|[0-9]{1,4}))?\\]".prop_map(String::into_bytes),
        Just(b"NaN".to_vec()),
    ]
}

/// Whatever stands in a column of whatever kind, into whatever type: nothing panics, a misfit
/// names a row that is there, and a second look finds the same.
#[test]
fn anything_goes_into_any_type_or_is_a_misfit() {
    let mut runner =
        TestRunner::new(Config { cases: 1500, failure_persistence: None, ..Config::default() });
    let value = proptest::option::weighted(0.8, (bytes(), any::<i64>(), any::<f64>()));
    let input =
        (0..TYPES.len(), 0..KINDS.len(), proptest::collection::vec(value, 1..9), 0..3_usize);
    runner
        .run(&input, |(ty, kind, values, times)| {
            let (ty, kind) = (Type::parse(TYPES[ty]).unwrap(), KINDS[kind]);
            let times = [Times::Refuse, Times::Clamp, Times::Null][times];
            let mut column = Column::new(kind);
            for value in &values {
                match (value, &mut column.values) {
                    (None, _) => column.push_null(),
                    (Some((_, n, _)), Values::Booleans(v)) => v.push(n % 2 == 0),
                    (Some((_, n, _)), Values::Ints(v)) => v.push(*n),
                    (Some((_, _, f)), Values::Floats(v)) => v.push(*f),
                    (Some((b, _, _)), Values::Texts(block) | Values::Blobs(block)) => block.push(b),
                }
            }
            let rows: Vec<u32> = (0..column.len() as u32).collect();
            let cells = Cells {
                column: &column,
                kind,
                logical: &Logical::Plain,
                rows: &rows,
                absent_is_null: false,
            };
            let write = || {
                let mut block = BlockWriter::new([("v", &ty)], Options { times });
                let mut misfits = Vec::new();
                block.push(0, &cells, &mut misfits);
                (block.rows(), block.finish().concat(), misfits)
            };
            let (count, data, misfits) = write();
            prop_assert_eq!(count as usize, values.len());
            prop_assert!(misfits.iter().all(|m| m.row < count), "{:?}", misfits);
            prop_assert_eq!((count, data, misfits), write());
            Ok(())
        })
        .unwrap();
}

#[test]
fn texts_of_types_never_panic() {
    let mut runner =
        TestRunner::new(Config { cases: 4000, failure_persistence: None, ..Config::default() });
    let words = "(Nullable|Array|Map|Enum8|Decimal|DateTime64|FixedString|LowCardinality|Int|UInt|String|JSON|\\(|\\)|,| |'|=|\\\\|[0-9]{1,3}|é){0,14}";
    runner
        .run(&words, |text| {
            if let Some(ty) = Type::parse(&text) {
                let again = ty.to_string();
                prop_assert_eq!(Type::parse(&again), Some(ty), "{}", again);
            }
            Ok(())
        })
        .unwrap();
}
