//! Definitions held against table maps: a definition is used for rows only where the log agrees
//! with it, in the number of columns, their types and lengths, and, where the server logs full
//! metadata, in names, signs and labels. With full metadata a definition can also be made from
//! the log alone.

use wasmgate_codec::mysqlvalue::{MappedColumn, TableMap, mysql_type as t};

use crate::catalog::Charsets;
use crate::definition::{ColumnDefinition, TableDefinition, TypeText};

/// Why a definition is not the one that rows were logged under; `None`: it may be.
pub(crate) fn misfit(definition: &TableDefinition, map: &TableMap) -> Option<String> {
    let (have, logged) = (definition.columns.len(), map.columns.len());
    if have != logged {
        return Some(format!("the log has {logged} columns, the definition {have}"));
    }
    definition.columns.iter().zip(&map.columns).find_map(|(column, mapped)| {
        let name = &column.name;
        if let Some(logged) = mapped.name.as_ref().filter(|logged| *logged != name) {
            return Some(format!("the log has column {logged} where the definition has {name}"));
        }
        let ty = TypeText::parse(&column.column_type);
        let fits = type_fits(&ty, mapped) && sign_fits(&ty, mapped);
        let labels = mapped.labels.is_empty() || mapped.labels.len() == ty.labels.len();
        (!fits || !labels || mapped.nullable != column.nullable).then(|| {
            format!(
                "column {name} is {} in the definition, and another type in the log",
                column.column_type
            )
        })
    })
}

/// A year never has a sign, and says so or not.
fn sign_fits(ty: &TypeText, mapped: &MappedColumn) -> bool {
    mapped.unsigned.is_none_or(|unsigned| unsigned == ty.unsigned || ty.name == "year")
}

fn type_fits(ty: &TypeText, mapped: &MappedColumn) -> bool {
    let meta = mapped.meta;
    let [low, high] = meta.to_le_bytes();
    let digits = || u32::from(low) == ty.argument(0).unwrap_or(0);
    // A character takes one to four bytes.
    let characters = || {
        let length = ty.argument(0).unwrap_or(1);
        let bytes = u32::from(meta);
        length <= bytes && bytes <= length.saturating_mul(4)
    };
    let bytes = || u32::from(meta) == ty.argument(0).unwrap_or(1);
    let of_type = |wanted: u8| mapped.ty == wanted;
    match ty.name.as_str() {
        "tinyint" => of_type(t::TINY),
        "smallint" => of_type(t::SHORT),
        "mediumint" => of_type(t::INT24),
        "int" => of_type(t::LONG),
        "bigint" => of_type(t::LONGLONG),
        "float" => of_type(t::FLOAT) || of_type(t::DOUBLE),
        "double" => of_type(t::DOUBLE),
        "decimal" => {
            let precision = ty.argument(0).unwrap_or(10);
            let scale = ty.argument(1).unwrap_or(0);
            of_type(t::NEWDECIMAL) && (precision, scale) == (low.into(), high.into())
        }
        "date" => of_type(t::DATE),
        "time" => of_type(t::TIME2) && digits() || of_type(t::TIME),
        "datetime" => of_type(t::DATETIME2) && digits() || of_type(t::DATETIME),
        "timestamp" => of_type(t::TIMESTAMP2) && digits() || of_type(t::TIMESTAMP),
        "year" => of_type(t::YEAR),
        "char" => of_type(t::STRING) && characters(),
        "varchar" => (of_type(t::VARCHAR) || of_type(t::VAR_STRING)) && characters(),
        "binary" => of_type(t::STRING) && bytes(),
        "varbinary" => of_type(t::VARCHAR) && bytes(),
        "tinytext" | "tinyblob" => of_type(t::BLOB) && meta == 1,
        "text" | "blob" => of_type(t::BLOB) && meta == 2,
        "mediumtext" | "mediumblob" => of_type(t::BLOB) && meta == 3,
        "longtext" | "longblob" => of_type(t::BLOB) && meta == 4,
        "enum" => of_type(t::ENUM) && (meta == 1) == (ty.labels.len() < 256),
        "set" => of_type(t::SET) && usize::from(meta) == set_bytes(ty.labels.len()),
        "bit" => of_type(t::BIT) && bytes(),
        "json" => of_type(t::JSON),
        "vector" => of_type(t::VECTOR),
        "uuid" | "inet6" => of_type(t::STRING) && meta == 16,
        "inet4" => of_type(t::STRING) && meta == 4,
        // What is left: the geometries, and types that are left out.
        _ => of_type(t::GEOMETRY) || mapped.geometry.is_none(),
    }
}

fn set_bytes(labels: usize) -> usize {
    match labels.div_ceil(8) {
        n @ 0..=4 => n.max(1),
        _ => 8,
    }
}

/// The definition that full metadata gives, with what it leaves out (defaults, comments, digits of
/// floats) taken from `known` by name. `None`: the metadata is not full.
pub(crate) fn from_metadata(
    map: &TableMap,
    charsets: &Charsets,
    known: Option<&TableDefinition>,
) -> Option<TableDefinition> {
    let mut columns = Vec::with_capacity(map.columns.len());
    for mapped in &map.columns {
        let name = mapped.name.clone()?;
        let charset = mapped.collation.and_then(|id| charsets.of_collation(id)).map(str::to_owned);
        let before = known.and_then(|k| k.columns.iter().find(|c| c.name == name));
        let same = before.filter(|c| {
            let ty = TypeText::parse(&c.column_type);
            type_fits(&ty, mapped)
                && c.charset == charset.clone().filter(|c| c != "binary")
                && sign_fits(&ty, mapped)
                && mapped.labels.len() == ty.labels.len()
        });
        let column_type = match same {
            Some(same) => same.column_type.clone(),
            None => type_text(mapped, charset.as_deref())?,
        };
        columns.push(ColumnDefinition {
            name,
            column_type,
            charset: charset.filter(|c| c != "binary"),
            nullable: mapped.nullable,
            default: before.and_then(|c| c.default.clone()),
            default_now: before.is_some_and(|c| c.default_now),
            auto_increment: before.is_some_and(|c| c.auto_increment),
            generated: before.is_some_and(|c| c.generated),
            comment: before.map(|c| c.comment.clone()).unwrap_or_default(),
        });
    }
    let name = |i: &usize| columns.get(*i).map(|c: &ColumnDefinition| c.name.clone());
    let primary: Option<Vec<String>> = map.primary_key.iter().map(name).collect();
    // A unique key that stands for a primary one is not in the metadata.
    let (key, primary) = match primary {
        Some(primary) if !primary.is_empty() => (primary, true),
        _ => (known.map(|k| k.key.clone()).unwrap_or_default(), false),
    };
    Some(TableDefinition {
        columns,
        key,
        primary,
        charset: known.map(|k| k.charset.clone()).unwrap_or_default(),
        comment: known.map(|k| k.comment.clone()).unwrap_or_default(),
    })
}

/// A type as `information_schema` would print it. Labels have to be ASCII here: others are known
/// by the definition.
fn type_text(mapped: &MappedColumn, charset: Option<&str>) -> Option<String> {
    let meta = mapped.meta;
    let [low, high] = meta.to_le_bytes();
    let binary = charset.is_none_or(|c| c == "binary");
    let choose = |text: &str, bytes: &str| if binary { bytes.to_owned() } else { text.to_owned() };
    let sign = if mapped.unsigned == Some(true) { " unsigned" } else { "" };
    let labels = || {
        let quoted: Option<Vec<String>> = mapped
            .labels
            .iter()
            .map(|l| {
                let text = std::str::from_utf8(l).ok()?;
                Some(format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")))
            })
            .collect();
        quoted.map(|q| q.join(","))
    };
    Some(match mapped.ty {
        t::TINY => format!("tinyint{sign}"),
        t::SHORT => format!("smallint{sign}"),
        t::INT24 => format!("mediumint{sign}"),
        t::LONG => format!("int{sign}"),
        t::LONGLONG => format!("bigint{sign}"),
        t::FLOAT => "float".into(),
        t::DOUBLE => "double".into(),
        t::NEWDECIMAL => format!("decimal({low},{high}){sign}"),
        t::DATE => "date".into(),
        t::TIME => "time".into(),
        t::DATETIME => "datetime".into(),
        t::TIMESTAMP => "timestamp".into(),
        t::TIME2 => format!("time({low})"),
        t::DATETIME2 => format!("datetime({low})"),
        t::TIMESTAMP2 => format!("timestamp({low})"),
        t::YEAR => "year".into(),
        t::STRING => choose(&format!("char({meta})"), &format!("binary({meta})")),
        t::VARCHAR | t::VAR_STRING => {
            choose(&format!("varchar({meta})"), &format!("varbinary({meta})"))
        }
        t::BLOB => match low {
            1 => choose("tinytext", "tinyblob"),
            2 => choose("text", "blob"),
            3 => choose("mediumtext", "mediumblob"),
            _ => choose("longtext", "longblob"),
        },
        t::ENUM => format!("enum({})", labels()?),
        t::SET => format!("set({})", labels()?),
        t::BIT => format!("bit({meta})"),
        t::JSON => "json".into(),
        t::VECTOR => "vector".into(),
        t::GEOMETRY if mapped.geometry == Some(1) => "point".into(),
        t::GEOMETRY => "geometry".into(),
        _ => return None,
    })
}
