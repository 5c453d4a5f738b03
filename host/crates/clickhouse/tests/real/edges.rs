//! The ends of what types hold, and types inside of types, read back by the engine; and what lies
//! just beyond is a misfit.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wasmgate_clickhouse::native::{Cells, Options};
use wasmgate_model::{Kind, Logical};
use wasmgate_services::clickhouse::ClickHouse;

use super::engine::engine;
use super::native::{column, through};

/// What the engine shows of these values, or the first misfit.
fn shown<S: AsRef<str>>(
    engine: &ClickHouse,
    ty: &str,
    kind: Kind,
    values: &[S],
) -> Result<Vec<String>, String> {
    let given: Vec<Option<&str>> = values.iter().map(|v| Some(v.as_ref())).collect();
    let column = column(kind, &given);
    let rows: Vec<u32> = (0..column.len() as u32).collect();
    let (logical, rows) = (&Logical::Plain, &rows[..]);
    let cells = Cells { column: &column, kind, logical, rows, absent_is_null: false };
    through(engine, ty, &cells, Options::default())
}

/// (type, kind, [(given, shown)]).
type Edge = (&'static str, Kind, &'static [(&'static str, &'static str)]);

const NINES: &str = "9999999999999999999999999999999999999999999999999999999999999999999999999999";

#[test]
fn numbers_to_their_ends() {
    let Some(engine) = engine() else { return };
    let edges: [Edge; 7] = [
        (
            "Int256",
            Kind::Decimal,
            &[
                (
                    "57896044618658097711785492504343953926634992332820282019728792003956564819967",
                    "57896044618658097711785492504343953926634992332820282019728792003956564819967",
                ),
                ("-1", "-1"),
                ("0", "0"),
            ],
        ),
        ("UInt256", Kind::Decimal, &[("0", "0"), ("18446744073709551616", "18446744073709551616")]),
        ("UInt64", Kind::Integer, &[("9223372036854775807", "9223372036854775807")]),
        ("Decimal(1, 0)", Kind::Decimal, &[("-9", "-9"), ("9", "9"), ("0", "0")]),
        ("Decimal(1, 1)", Kind::Decimal, &[("-0.9", "-0.9"), ("0.1", "0.1")]),
        (
            "Float64",
            Kind::Float,
            &[
                ("-inf", "-inf"),
                ("NaN", "nan"),
                ("-0", "-0"),
                ("1.7976931348623157e308", "1.7976931348623157e308"),
                ("2.2250738585072014e-308", "2.2250738585072014e-308"),
            ],
        ),
        (
            "Float32",
            Kind::Float,
            &[("3.4028234663852886e38", "3.4028235e38"), ("NaN", "nan"), ("inf", "inf")],
        ),
    ];
    check(&engine, &edges);
    let wide = |text: String| vec![text.clone(), format!("-{text}")];
    for (ty, values) in [
        ("Decimal(76, 0)", wide(NINES.to_owned())),
        ("Decimal(76, 76)", wide(format!("0.{NINES}"))),
        ("Decimal(76, 76)", wide(format!("0.{}1", "0".repeat(75)))),
        ("Decimal(76, 1)", wide(format!("{}.9", &NINES[1..]))),
        ("Decimal(38, 0)", wide(NINES[..38].to_owned())),
        ("Decimal(38, 38)", wide(format!("0.{}", &NINES[..38]))),
        ("Decimal(39, 39)", wide(format!("0.{}", &NINES[..39]))),
        ("Decimal(18, 18)", wide(format!("0.{}", &NINES[..18]))),
        ("Decimal(9, 9)", wide(format!("0.{}", &NINES[..9]))),
    ] {
        assert_eq!(shown(&engine, ty, Kind::Decimal, &values), Ok(values.clone()), "{ty}");
    }
    for (ty, kind, value, code) in [
        ("Decimal(76, 0)", Kind::Decimal, format!("1{}", "0".repeat(76)), "out-of-range"),
        ("Decimal(76, 76)", Kind::Decimal, "1".to_owned(), "out-of-range"),
        ("Decimal(76, 76)", Kind::Decimal, format!("0.{}1", "0".repeat(76)), "too-precise"),
        ("Decimal(38, 0)", Kind::Decimal, format!("-1{}", "0".repeat(38)), "out-of-range"),
        ("Int256", Kind::Decimal, format!("1{}", "0".repeat(77)), "out-of-range"),
        ("UInt256", Kind::Decimal, NINES.repeat(2), "out-of-range"),
        ("Float32", Kind::Float, "3.5e38".to_owned(), "out-of-range"),
    ] {
        let found = shown(&engine, ty, kind, std::slice::from_ref(&value));
        assert_eq!(found, Err(format!("0 {code}")), "{ty} {value}");
    }
}

fn check(engine: &ClickHouse, edges: &[Edge]) {
    for (ty, kind, values) in edges {
        let given: Vec<&str> = values.iter().map(|v| v.0).collect();
        let want: Vec<String> = values.iter().map(|v| v.1.to_owned()).collect();
        assert_eq!(shown(engine, ty, *kind, &given), Ok(want), "{ty}");
    }
}

#[test]
fn times_texts_and_labels_to_their_ends() {
    let Some(engine) = engine() else { return };
    let edges: [Edge; 17] = [
        ("Date32", Kind::DateDays, &[("-25567", "1900-01-01"), ("120529", "2299-12-31")]),
        (
            "DateTime64(9, 'UTC')",
            Kind::TimestampUs,
            &[
                ("-2208988800000000", "1900-01-01 00:00:00.000000000"),
                ("9223372036854775", "2262-04-11 23:47:16.854775000"),
                ("-1", "1969-12-31 23:59:59.999999000"),
            ],
        ),
        (
            "DateTime64(0, 'UTC')",
            Kind::TimestampUs,
            &[
                ("-2208988800000000", "1900-01-01 00:00:00"),
                ("10413791999000000", "2299-12-31 23:59:59"),
            ],
        ),
        (
            "DateTime64(8, 'UTC')",
            Kind::TimestampUs,
            &[
                ("-2208988800000000", "1900-01-01 00:00:00.00000000"),
                ("10413791999999999", "2299-12-31 23:59:59.99999900"),
            ],
        ),
        ("Time", Kind::TimeUs, &[("0", "00:00:00"), ("86399000000", "23:59:59")]),
        (
            "Time64(9)",
            Kind::TimeUs,
            &[("0", "00:00:00.000000000"), ("3599999999999", "999:59:59.999999000")],
        ),
        ("Enum8('low' = -128, 'mid' = 0, 'top' = 127)", Kind::Text, LABELS),
        ("Enum16('low' = -32768, 'mid' = 0, 'top' = 32767)", Kind::Text, LABELS),
        ("Nullable(Enum8('low' = -128, 'mid' = 0, 'top' = 127))", Kind::Text, LABELS),
        (
            "IPv6",
            Kind::Text,
            &[
                ("::", "::"),
                ("::1", "::1"),
                (
                    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                ),
                ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
                ("fe80::1:0:0:2", "fe80::1:0:0:2"),
            ],
        ),
        ("IPv4", Kind::Text, &[("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255")]),
        ("FixedString(3)", Kind::Text, &[("abc", "abc"), ("a", "a"), ("", ""), ("é", "é")]),
        ("LowCardinality(FixedString(2))", Kind::Text, &[("ab", "ab"), ("c", "c"), ("ab", "ab")]),
        ("Nullable(FixedString(2))", Kind::Text, &[("ab", "ab"), ("", "")]),
        (
            "UUID",
            Kind::Text,
            &[
                ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"),
                ("ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
            ],
        ),
        ("Date", Kind::DateDays, &[("65535", "2149-06-06")]),
        (
            "DateTime('UTC')",
            Kind::TimestampUs,
            &[("4294967295000000", "2106-02-07 06:28:15"), ("0", "1970-01-01 00:00:00")],
        ),
    ];
    check(&engine, &edges);
    for (ty, kind, value, code) in [
        ("Date32", Kind::DateDays, "-25568", "out-of-range"),
        ("Date", Kind::DateDays, "65536", "out-of-range"),
        ("DateTime('UTC')", Kind::TimestampUs, "4294967296000000", "out-of-range"),
        ("DateTime('UTC')", Kind::TimestampUs, "-1000000", "out-of-range"),
        ("DateTime64(9, 'UTC')", Kind::TimestampUs, "9223372036854776", "out-of-range"),
        ("DateTime64(9, 'UTC')", Kind::TimestampUs, "-2208988800000001", "out-of-range"),
        ("DateTime64(6, 'UTC')", Kind::TimestampUs, "10413792000000000", "out-of-range"),
        ("Enum8('low' = -128)", Kind::Text, "", "bad-value"),
        ("FixedString(3)", Kind::Text, "éé", "too-long"),
        ("IPv6", Kind::Text, "::g", "bad-value"),
        ("IPv4", Kind::Text, "256.0.0.0", "bad-value"),
    ] {
        assert_eq!(shown(&engine, ty, kind, &[value]), Err(format!("0 {code}")), "{ty} {value}");
    }
}

const LABELS: &[(&str, &str)] = &[("low", "low"), ("mid", "mid"), ("top", "top")];

#[test]
fn types_inside_of_types() {
    let Some(engine) = engine() else { return };
    let edges: [Edge; 14] = [
        (
            "Array(Nullable(Decimal(76, 38)))",
            Kind::Json,
            &[("[null,-0.5,12]", "[NULL,-0.5,12]"), ("[]", "[]")],
        ),
        (
            "Array(Nullable(UUID))",
            Kind::Json,
            &[(
                "[\"3f2504e0-4f89-11d3-9a0c-0305e82c3301\",null]",
                "['3f2504e0-4f89-11d3-9a0c-0305e82c3301',NULL]",
            )],
        ),
        (
            "Array(LowCardinality(Nullable(FixedString(2))))",
            Kind::Json,
            &[("[\"ab\",null,\"ab\"]", "['ab',NULL,'ab']"), ("[]", "[]"), ("[null]", "[NULL]")],
        ),
        (
            "Array(Array(LowCardinality(Nullable(String))))",
            Kind::Json,
            &[
                ("[[\"a\",null],[],[\"b\"]]", "[['a',NULL],[],['b']]"),
                ("[[]]", "[[]]"),
                ("[]", "[]"),
            ],
        ),
        (
            "Array(Array(Array(Nullable(Int8))))",
            Kind::Json,
            &[("[[[1,null],[]],[]]", "[[[1,NULL],[]],[]]")],
        ),
        ("Array(Bool)", Kind::Json, &[("[true,false]", "[true,false]")]),
        ("Array(Enum8('a' = -1, 'b' = 1))", Kind::Json, &[("[\"b\",\"a\"]", "['b','a']")]),
        ("Array(IPv6)", Kind::Json, &[("[\"::1\"]", "['::1']")]),
        ("Array(Float64)", Kind::Json, &[("[1e300,-0.5,3]", "[1e300,-0.5,3]")]),
        (
            "Map(String, LowCardinality(Nullable(String)))",
            Kind::Json,
            &[("{\"a\":\"x\",\"b\":null}", "{'a':'x','b':NULL}"), ("{}", "{}")],
        ),
        (
            "Map(String, Array(Map(String, UInt8)))",
            Kind::Json,
            &[("{\"a\":[{\"b\":1},{}]}", "{'a':[{'b':1},{}]}")],
        ),
        ("Map(Int64, Decimal(76, 0))", Kind::Json, &[("{\"-5\":7}", "{-5:7}")]),
        (
            "Array(Map(LowCardinality(String), String))",
            Kind::Json,
            &[("[{\"k\":\"v\"}]", "[{'k':'v'}]"), ("[]", "[]")],
        ),
        (
            "JSON",
            Kind::Json,
            &[
                (
                    "{\"a\":[1,2],\"b\":{\"c\":{\"d\":\"\u{1F980}\"}}}",
                    "{\"a\":[1,2],\"b\":{\"c\":{\"d\":\"\u{1F980}\"}}}",
                ),
                ("{\"n\":null}", "{}"),
                ("{\"t\":true,\"f\":1.5}", "{\"f\":1.5,\"t\":true}"),
            ],
        ),
    ];
    check(&engine, &edges);
}

/// Places in a dictionary take one, two or four bytes, by how many values there are.
#[test]
fn dictionaries_of_every_width() {
    let Some(engine) = engine() else { return };
    // Beside the values there is a place for the default, and one for NULL.
    for (ty, counts) in [
        ("LowCardinality(String)", [1, 255, 256, 65_535, 65_536]),
        ("LowCardinality(Nullable(String))", [1, 254, 255, 65_534, 65_535]),
    ] {
        for count in counts {
            let values: Vec<String> = (0..count).map(|n| format!("v{n}")).collect();
            let found = shown(&engine, ty, Kind::Text, &values).unwrap();
            assert!(found == values, "{ty} of {count}");
        }
    }
}

/// Random values of nested and wide types.
#[test]
fn random_values_of_wide_and_nested_types_read_back() {
    let Some(engine) = engine() else { return };
    let mut runner =
        TestRunner::new(Config { cases: 5, failure_persistence: None, ..Config::default() });
    let wide = proptest::collection::vec("-?[1-9][0-9]{0,75}", 1..100);
    let addresses = proptest::collection::vec(any::<u128>(), 1..100);
    let member = proptest::option::weighted(0.7, "[a-c]{0,2}");
    let lists = proptest::collection::vec(proptest::collection::vec(member, 0..6), 1..100);
    let instants =
        proptest::collection::vec(-2_208_988_800_000_000..9_223_372_036_854_775_i64, 1..100);
    runner
        .run(&(wide, addresses, lists, instants), |(wide, addresses, lists, instants)| {
            let read = |ty: &str, kind, values: &[String]| shown(&engine, ty, kind, values);
            prop_assert_eq!(read("Decimal(76, 0)", Kind::Decimal, &wide), Ok(wide.clone()));
            let addresses: Vec<String> =
                addresses.iter().map(|a| std::net::Ipv6Addr::from(*a).to_string()).collect();
            prop_assert_eq!(read("IPv6", Kind::Text, &addresses), Ok(addresses.clone()));
            let json = |list: &Vec<Option<String>>| serde_json::to_string(list).unwrap();
            let text = |list: &Vec<Option<String>>| {
                let members = list.iter().map(|m| match m {
                    Some(member) => format!("'{member}'"),
                    None => "NULL".to_owned(),
                });
                format!("[{}]", members.collect::<Vec<_>>().join(","))
            };
            let given: Vec<String> = lists.iter().map(json).collect();
            let want: Vec<String> = lists.iter().map(text).collect();
            for ty in ["Array(LowCardinality(Nullable(String)))", "Array(Nullable(String))"] {
                prop_assert_eq!(read(ty, Kind::Json, &given), Ok(want.clone()), "{}", ty);
            }
            let maps: Vec<String> = given.iter().map(|list| format!("{{\"k\":{list}}}")).collect();
            let shown: Vec<String> = want.iter().map(|list| format!("{{'k':{list}}}")).collect();
            let ty = "Map(LowCardinality(String), Array(Nullable(String)))";
            prop_assert_eq!(read(ty, Kind::Json, &maps), Ok(shown));
            // Nanoseconds are shown as what they are: microseconds and three zeros.
            let given: Vec<String> = instants.iter().map(ToString::to_string).collect();
            let six = read("DateTime64(6, 'UTC')", Kind::TimestampUs, &given).unwrap();
            let nine = read("DateTime64(9, 'UTC')", Kind::TimestampUs, &given).unwrap();
            let want: Vec<String> = six.iter().map(|shown| format!("{shown}000")).collect();
            prop_assert_eq!(nine, want);
            Ok(())
        })
        .unwrap();
}
