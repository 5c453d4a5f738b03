//! What records of the Postgres source look like: raw groups to the connector's settings.

use secrecy::ExposeSecret as _;
use wasmgate_codec::mask::{HashAlgorithm, HashVersion, Mask};
use wasmgate_postgres as postgres;

use super::super::Checks;
use crate::config::problem::Problem;
use crate::config::raw::postgres as raw;
use crate::config::{Field, raw as all};

impl Checks<'_> {
    /// The groups `values`, `columns` and `records`, and the options beside them.
    pub(super) fn shape(
        &mut self,
        field: &Field,
        decimals: all::Decimals,
        skip_truncate: Option<bool>,
        (values, columns, records): (raw::Values, raw::Columns, raw::Records),
    ) -> postgres::Shape {
        let at = field.member("records");
        let skipped = match (records.skipped_operations, skip_truncate) {
            (Some(_), Some(_)) => {
                let problem = Problem::new("stands beside `skip_truncate`, expected one of them")
                    .help("take `skip_truncate` out: `t` in the list says the same");
                self.refuse(&at.member("skipped_operations"), problem);
                postgres::Skipped::default()
            }
            (Some(list), None) => skipped(&list),
            (None, truncate) => postgres::Skipped {
                truncate: truncate.unwrap_or(true),
                ..postgres::Skipped::default()
            },
        };
        let delimiter = records.topic_delimiter.unwrap_or_else(|| ".".into());
        let topic = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let expected = "letters, digits, `.`, `_` and `-`";
        self.spelled(&at.member("topic_delimiter"), &delimiter, topic, expected);
        let names = postgres::Names {
            delimiter,
            schemas: adjustment(records.schema_names),
            fields: adjustment(records.field_names),
        };
        let at = field.member("values");
        let digits = values.money_digits.unwrap_or(2);
        self.bounds(&at.member("money_digits"), digits, 0, 9);
        postgres::Shape {
            unavailable: self.unavailable(&at.member("unavailable"), values.unavailable.as_deref()),
            values: modes(&values, decimals, digits),
            columns: self.columns(&field.member("columns"), columns),
            names,
            context_headers: records.context_headers,
            skipped,
            skip_unchanged: records.skip_unchanged,
        }
    }

    /// The group `filters`.
    pub(super) fn filters(&mut self, field: &Field, raw: &raw::Filters) -> postgres::Filters {
        postgres::Filters {
            schemas: self.filter(&field.member("schemas"), &raw.schemas),
            tables: self.filter(&field.member("tables"), &raw.tables),
        }
    }

    fn filter(&mut self, field: &Field, raw: &raw::Filter) -> postgres::Filter {
        if !raw.include.is_empty() && !raw.exclude.is_empty() {
            let problem = Problem::new("stands beside `include`, expected one of them");
            self.refuse(&field.member("exclude"), problem);
        }
        postgres::Filter {
            include: self.patterns(&field.member("include"), &raw.include),
            exclude: self.patterns(&field.member("exclude"), &raw.exclude),
        }
    }

    fn unavailable(&mut self, field: &Field, text: Option<&str>) -> Option<Vec<u8>> {
        let text = text?;
        let Some(digits) = text.strip_prefix("hex:") else { return Some(text.into()) };
        let bytes = hex::decode(digits);
        if bytes.is_err() {
            self.refuse(field, Problem::new("found no pairs of hexadecimal digits after `hex:`"));
        }
        bytes.ok()
    }

    fn columns(&mut self, field: &Field, raw: raw::Columns) -> postgres::ColumnRules {
        let filter = raw::Filter { include: raw.include, exclude: raw.exclude };
        let filter = self.filter(field, &filter);
        let masks = raw.masks.into_iter().enumerate();
        let at = field.member("masks");
        let masks = masks.filter_map(|(i, mask)| self.mask(&at.entry(i), mask)).collect();
        let at = field.member("keys");
        let mut keys = Vec::with_capacity(raw.keys.len());
        for (i, key) in raw.keys.into_iter().enumerate() {
            let at = at.entry(i);
            if key.columns.is_empty() {
                self.refuse(&at.member("columns"), Problem::new("names no column"));
            }
            let tables = self.pattern(&at.member("tables"), &key.tables);
            keys.extend(tables.map(|tables| (tables, key.columns)));
        }
        postgres::ColumnRules {
            filter,
            masks,
            keys,
            source_types: self.patterns(&field.member("source_types"), &raw.source_types),
            source_datatypes: self
                .patterns(&field.member("source_datatypes"), &raw.source_datatypes),
        }
    }

    pub(in crate::config::check) fn mask(
        &mut self,
        field: &Field,
        raw: raw::Mask,
    ) -> Option<(Vec<regex::Regex>, Mask)> {
        let kinds = [
            ("stars", raw.stars.is_some()),
            ("truncate", raw.truncate.is_some()),
            ("hash", raw.hash.is_some()),
        ];
        if !self.one_of(field, "the kinds of mask", &kinds) {
            return None;
        }
        if raw.columns.is_empty() {
            self.refuse(&field.member("columns"), Problem::new("names no column"));
        }
        let columns = self.patterns(&field.member("columns"), &raw.columns);
        if raw.hash.is_none() && (raw.salt.is_some() || raw.version.is_some()) {
            self.refuse(field, Problem::new("`salt` and `version` belong to `hash`"));
        }
        let mask = match (raw.stars, raw.truncate, raw.hash) {
            (Some(count), ..) => {
                self.bounds(&field.member("stars"), count, 0, 1000);
                Mask::Stars(count.into())
            }
            (_, Some(count), _) => {
                self.bounds(&field.member("truncate"), count, 1, u32::MAX);
                Mask::Truncate(count as usize)
            }
            (_, _, name) => {
                let name = name.unwrap_or_default();
                let Some(algorithm) = HashAlgorithm::parse(&name) else {
                    let message = format!("found `{name}`, expected {}", HashAlgorithm::NAMES);
                    self.refuse(&field.member("hash"), Problem::new(message));
                    return None;
                };
                let Some(salt) = raw.salt else {
                    self.refuse(&field.member("salt"), Problem::new("is missing beside `hash`"));
                    return None;
                };
                let version = raw.version.unwrap_or(2);
                self.bounds(&field.member("version"), version, 1, 2);
                let version = if version == 1 { HashVersion::V1 } else { HashVersion::V2 };
                Mask::Hash { algorithm, salt: salt.0.expose_secret().into(), version }
            }
        };
        Some((columns, mask))
    }

    /// Patterns of whole names, whatever the case.
    pub(in crate::config::check) fn patterns(
        &mut self,
        field: &Field,
        texts: &[String],
    ) -> Vec<regex::Regex> {
        let each = texts.iter().enumerate();
        each.filter_map(|(i, text)| self.pattern(&field.entry(i), text)).collect()
    }

    pub(in crate::config::check) fn pattern(
        &mut self,
        field: &Field,
        text: &str,
    ) -> Option<regex::Regex> {
        let pattern = postgres::pattern(text);
        if let Err(error) = &pattern {
            let why = error.to_string();
            let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!("found `{text}`, expected a regular expression: {last}");
            self.refuse(field, Problem::new(message));
        }
        pattern.ok()
    }
}

fn skipped(list: &[raw::Operation]) -> postgres::Skipped {
    let mut skipped = postgres::Skipped::default();
    for operation in list {
        match operation {
            raw::Operation::Create => skipped.create = true,
            raw::Operation::Update => skipped.update = true,
            raw::Operation::Delete => skipped.delete = true,
            raw::Operation::Truncate => skipped.truncate = true,
        }
    }
    skipped
}

fn adjustment(raw: raw::Adjustment) -> postgres::NameAdjustment {
    match raw {
        raw::Adjustment::None => postgres::NameAdjustment::None,
        raw::Adjustment::Avro => postgres::NameAdjustment::Avro,
        raw::Adjustment::AvroUnicode => postgres::NameAdjustment::AvroUnicode,
    }
}

fn modes(raw: &raw::Values, decimals: all::Decimals, money_digits: u8) -> postgres::ValueModes {
    use postgres::{BinaryMode, DecimalMode, TimePrecision};
    postgres::ValueModes {
        decimal: match decimals {
            all::Decimals::Precise => DecimalMode::Precise,
            all::Decimals::Double => DecimalMode::Double,
            all::Decimals::String => DecimalMode::String,
        },
        time: match raw.time_precision {
            raw::TimePrecision::Adaptive => TimePrecision::Adaptive,
            raw::TimePrecision::AdaptiveTimeMicroseconds => TimePrecision::AdaptiveTimeMicroseconds,
            raw::TimePrecision::Connect => TimePrecision::Connect,
            raw::TimePrecision::Isostring => TimePrecision::IsoString,
            raw::TimePrecision::Microseconds => TimePrecision::Microseconds,
            raw::TimePrecision::Nanoseconds => TimePrecision::Nanoseconds,
        },
        binary: match raw.binary {
            raw::Binary::Bytes => BinaryMode::Bytes,
            raw::Binary::Base64 => BinaryMode::Base64,
            raw::Binary::Base64UrlSafe => BinaryMode::Base64UrlSafe,
            raw::Binary::Hex => BinaryMode::Hex,
        },
        hstore_map: raw.hstore == raw::Hstore::Map,
        interval_text: raw.intervals == raw::Intervals::String,
        money_digits,
        unknown: raw.unknown_types,
        all_arrays: raw.all_arrays,
    }
}
