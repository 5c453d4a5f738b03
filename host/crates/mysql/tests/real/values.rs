//! Random values of every type on both servers, with the server as the oracle: what the stream
//! decodes from the log is what the server itself answers to the snapshot's SELECT.

use std::collections::BTreeMap;

use serde_json::Value;
use wasmgate_services::mysql::Flavor;

use crate::harness::{Db, FLAVORS, Run, skipped};

/// A small generator; the same rows every time.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 11
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// Mostly small, sometimes at the ends of the range.
    fn int(&mut self, bits: u32, signed: bool) -> String {
        let most = if signed { (1_i128 << (bits - 1)) - 1 } else { (1_i128 << bits) - 1 };
        let least = if signed { -(1_i128 << (bits - 1)) } else { 0 };
        match self.below(6) {
            0 => most.to_string(),
            1 => least.to_string(),
            2 => i128::from(signed).wrapping_neg().to_string(),
            _ => (least + i128::from(self.next()) * 977 % (most - least + 1)).to_string(),
        }
    }

    fn text(&mut self, most: u64) -> String {
        let letters = ["a", "B", "é", "ß", "日", "😀", " ", "''", "\\\\", "\\n", "0", "€"];
        let letters = if most == 0 { &letters[..1] } else { &letters[..] };
        let text: String = (0..self.below(most + 1)).map(|_| self.pick(letters)).collect();
        format!("'{text}'")
    }

    fn time(&mut self, digits: usize) -> String {
        let sign = self.pick(&["", "-"]);
        let (h, m, s) = (self.below(839), self.below(60), self.below(59));
        format!("'{sign}{h}:{m:02}:{s:02}{}'", self.fraction(digits))
    }

    fn fraction(&mut self, digits: usize) -> String {
        let all = format!("{:06}", self.below(1_000_000));
        if digits == 0 { String::new() } else { format!(".{all:.digits$}") }
    }

    fn date(&mut self) -> String {
        match self.below(8) {
            0 => "0000-00-00".into(),
            1 => "9999-12-31".into(),
            _ => {
                let (y, m, d) = (self.below(2900) + 100, self.below(12) + 1, self.below(28) + 1);
                format!("{y:04}-{m:02}-{d:02}")
            }
        }
    }

    fn date_time(&mut self, digits: usize) -> String {
        let (date, h, m, s) = (self.date(), self.below(24), self.below(60), self.below(60));
        if date.starts_with("0000") {
            return "'0000-00-00 00:00:00'".into();
        }
        format!("'{date} {h:02}:{m:02}:{s:02}{}'", self.fraction(digits))
    }

    fn timestamp(&mut self, digits: usize) -> String {
        let seconds = 1 + self.below(2_147_000_000);
        format!("from_unixtime({seconds}{})", self.fraction(digits))
    }

    fn decimal(&mut self, whole: u32, fraction: u32) -> String {
        let mut digits = |n: u32| (0..n).map(|_| self.below(10).to_string()).collect::<String>();
        let (whole, fraction) = (digits(whole), digits(fraction));
        let sign = self.pick(&["", "-"]);
        format!("{sign}{whole}.{fraction}0")
    }

    fn bytes(&mut self, most: u64) -> String {
        let length = self.below(most + 1);
        let hex: String = (0..length).map(|_| format!("{:02x}", self.below(256))).collect();
        format!("x'{hex}'")
    }

    fn json(&mut self, depth: u64) -> String {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => "null".into(),
            1 => self.pick(&["true", "false"]).into(),
            2 => self.int(64, true),
            3 => self.int(16, false),
            4 => format!("{}e{}", self.below(1000), self.below(20)),
            5 => format!(
                "\"{}\"",
                self.pick(&["", "text", "é😀", "\\\\\"q\\\\\"", "long text that goes on and on"])
            ),
            6 => {
                let items: Vec<String> = (0..self.below(4)).map(|_| self.json(depth - 1)).collect();
                format!("[{}]", items.join(","))
            }
            _ => {
                let names = ["a", "bb", "key", "日"];
                let count = self.below(4) as usize;
                let members: Vec<String> = names[..count]
                    .iter()
                    .map(|n| format!("\"{n}\":{}", self.json(depth - 1)))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

/// (type, a literal of it)
type Column = (&'static str, fn(&mut Draw) -> String);

const COLUMNS: &[Column] = &[
    ("tinyint", |d| d.int(8, true)),
    ("tinyint unsigned", |d| d.int(8, false)),
    ("smallint", |d| d.int(16, true)),
    ("smallint unsigned", |d| d.int(16, false)),
    ("mediumint", |d| d.int(24, true)),
    ("mediumint unsigned", |d| d.int(24, false)),
    ("int", |d| d.int(32, true)),
    ("int unsigned zerofill", |d| d.int(32, false)),
    ("bigint", |d| d.int(64, true)),
    ("bigint unsigned", |d| d.int(64, false)),
    ("decimal(5,0)", |d| d.decimal(5, 0)),
    ("decimal(10,2) unsigned zerofill", |d| d.decimal(8, 2).replace('-', "")),
    ("decimal(65,30)", |d| d.decimal(35, 30)),
    ("decimal(9,9)", |d| d.decimal(0, 9).replace("-.", "-0.")),
    ("float", |d| format!("{}e{}", d.below(10_000_000), d.below(20))),
    ("float(7,3)", |d| format!("{}.{}", d.below(9000), d.below(1000))),
    ("double", |d| format!("-{}.{}e{}", d.below(10_000_000), d.next(), d.below(200))),
    ("year", |d| (if d.below(5) == 0 { 0 } else { 1901 + d.below(255) }).to_string()),
    ("date", |d| format!("'{}'", d.date())),
    ("time", |d| d.time(0)),
    ("time(1)", |d| d.time(1)),
    ("time(2)", |d| d.time(2)),
    ("time(3)", |d| d.time(3)),
    ("time(4)", |d| d.time(4)),
    ("time(5)", |d| d.time(5)),
    ("time(6)", |d| d.time(6)),
    ("datetime", |d| d.date_time(0)),
    ("datetime(1)", |d| d.date_time(1)),
    ("datetime(3)", |d| d.date_time(3)),
    ("datetime(6)", |d| d.date_time(6)),
    ("timestamp", |d| d.timestamp(0)),
    ("timestamp(2)", |d| d.timestamp(2)),
    ("timestamp(6)", |d| d.timestamp(6)),
    ("char(20)", |d| d.text(6)),
    ("varchar(20)", |d| d.text(9)),
    ("varchar(300)", |d| d.text(200)),
    ("tinytext", |d| d.text(20)),
    ("text", |d| d.text(300)),
    ("varchar(20) character set latin1", |d| format!("convert({} using latin1)", d.text(9))),
    ("varchar(20) character set utf16", |d| d.text(9)),
    ("varchar(20) character set cp1251", |d| d.pick(&["'Привет'", "''", "'a'"]).into()),
    ("varchar(20) character set sjis", |d| d.pick(&["'日本'", "'ｱ'", "'a'"]).into()),
    ("char(4) character set ucs2", |d| d.pick(&["'日é'", "''", "'a b'"]).into()),
    ("varchar(20) character set macroman", |d| d.pick(&["'é'", "'ü€'", "'a'"]).into()),
    ("binary(6)", |d| d.bytes(6)),
    ("varbinary(20)", |d| d.bytes(20)),
    ("varbinary(300)", |d| d.bytes(300)),
    ("blob", |d| d.bytes(400)),
    ("longblob", |d| d.bytes(400)),
    ("enum('a','b,c','d''e','é')", |d| (d.below(5)).to_string()),
    ("set('x','y','z','','9')", |d| d.below(8).to_string()),
    ("bit", |d| d.below(2).to_string()),
    ("bit(10)", |d| d.below(1024).to_string()),
    ("bit(64)", |d| d.int(64, false)),
    ("geometry", |d| format!("st_geomfromtext('POINT({} -{}.5)')", d.below(99), d.below(99))),
    ("point", |d| format!("st_geomfromtext('POINT({} -{}.5)')", d.below(99), d.below(99))),
    ("polygon", |_| "st_geomfromtext('POLYGON((0 0,0 1,1 1,0 0))')".into()),
    ("json", |d| format!("'{}'", d.json(3))),
];

/// Only MySQL's.
const MYSQL: &[Column] = &[("vector(3)", |d| format!("to_vector('[{},-2.5,1e-3]')", d.below(99)))];
/// Only MariaDB's.
const MARIADB: &[Column] = &[
    ("uuid", |d| format!("'{:08x}-1234-4abc-8def-{:012x}'", d.below(1 << 32), d.below(1 << 48))),
    ("inet6", |d| format!("'2001:db8::{:x}'", d.below(65536))),
];

const ROWS: i64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_log_holds_is_what_the_server_answers() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let own = if flavor == Flavor::MySql { MYSQL } else { MARIADB };
        let columns: Vec<&Column> = COLUMNS.iter().chain(own).collect();
        let defined: Vec<String> =
            columns.iter().enumerate().map(|(i, (ty, _))| format!("c{i} {ty} NULL")).collect();
        let setup = format!("CREATE TABLE t(id int PRIMARY KEY, {})", defined.join(", "));
        let db = Db::new(flavor, "round_trip", &setup);
        let mut run = Run::open(&db.streaming(), 1000).await;
        let mut draw = Draw(7);
        let mut script = "SET sql_mode = '';\n".to_owned();
        for id in 0..ROWS {
            let mut value = |column: &&Column| match draw.below(8) {
                0 => "NULL".into(),
                _ => column.1(&mut draw),
            };
            let values: Vec<String> = columns.iter().map(&mut value).collect();
            script.push_str(&format!("INSERT INTO t VALUES ({id}, {});\n", values.join(", ")));
        }
        db.sql(&script);
        let streamed = run.count(ROWS as usize).await;
        drop(run);
        let mut again = Run::open(&db.settings(), 1000).await;
        let asked = again.count(ROWS as usize).await;
        let by_id: BTreeMap<i64, &Value> =
            asked.iter().map(|e| (e.key["id"].as_i64().unwrap(), e.after())).collect();
        let mut wrong = BTreeMap::new();
        for event in &streamed {
            let row = by_id[&event.key["id"].as_i64().unwrap()];
            for (i, (ty, _)) in columns.iter().enumerate() {
                let name = format!("c{i}");
                let (got, want) = (&event.after()[&name], &row[&name]);
                let equal = got == want || (ty.starts_with("json") && same_json(got, want));
                if !equal {
                    wrong.entry(*ty).or_insert_with(|| format!("log {got}, server {want}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{flavor:?} {wrong:#?}");
    }
}

/// The same document, whatever its spaces.
fn same_json(a: &Value, b: &Value) -> bool {
    let parsed = |v: &Value| serde_json::from_str::<Value>(v.as_str()?).ok();
    match (parsed(a), parsed(b)) {
        (Some(a), Some(b)) => equal(&a, &b),
        _ => false,
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, a)| b.get(k).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}
