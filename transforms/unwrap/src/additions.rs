//! What `add.fields` and `add.headers` name: `[struct.]field[:alias]`.

/// Where the value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The letter of the operation.
    Op,
    Before(String),
    /// `after.x`, as a read name.
    After(String),
    /// A member of the envelope, its source or its transaction block, as a read name.
    Reserved(String),
}

/// One item of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addition {
    pub(crate) place: Place,
    /// Name of the field or header, prefix included.
    pub(crate) name: String,
}

/// Reads a list. `option` names it in errors.
pub(crate) fn parse(option: &str, list: &str, prefix: &str) -> Result<Vec<Addition>, String> {
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| one(item, prefix).map_err(|why| format!("{option}: {item:?}: {why}")))
        .collect()
}

fn one(item: &str, prefix: &str) -> Result<Addition, String> {
    let (path, alias) = match item.split_once(':') {
        Some((path, alias)) => (path.trim(), Some(alias.trim())),
        None => (item, None),
    };
    if alias.is_some_and(|alias| alias.is_empty() || alias.contains(':')) {
        return Err("expected one name after the colon".to_owned());
    }
    let (holder, field) = match path.split_once('.') {
        Some((holder, field)) => (Some(holder), field),
        None => (None, path),
    };
    if field.is_empty() {
        return Err("expected the name of a field".to_owned());
    }
    let plain = holder.map_or_else(|| field.to_owned(), |holder| format!("{holder}_{field}"));
    let place = match holder.unwrap_or_else(|| default_holder(field)) {
        "" if field == "op" => Place::Op,
        "" => Place::Reserved(format!("$envelope.{field}")),
        "before" => Place::Before(format!("before.{field}")),
        "after" => Place::After(field.to_owned()),
        holder @ ("source" | "transaction") => Place::Reserved(format!("${holder}.{field}")),
        _ => return Err("expected before, after, source or transaction before the dot".to_owned()),
    };
    Ok(Addition { place, name: format!("{prefix}{}", alias.unwrap_or(&plain)) })
}

/// Where Debezium looks for a field without a struct; empty is the envelope itself.
fn default_holder(field: &str) -> &'static str {
    match field {
        "op" | "ts_ms" => "",
        "id" | "total_order" | "data_collection_order" => "transaction",
        _ => "source",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{Addition, Place, parse};

    #[test]
    fn items_are_found_where_debezium_finds_them() {
        let reserved = |name: &str| Place::Reserved(name.to_owned());
        for (item, place, name) in [
            ("op", Place::Op, "__op"),
            ("ts_ms", reserved("$envelope.ts_ms"), "__ts_ms"),
            ("lsn", reserved("$source.lsn"), "__lsn"),
            ("total_order", reserved("$transaction.total_order"), "__total_order"),
            ("source.ts_ms", reserved("$source.ts_ms"), "__source_ts_ms"),
            (" source.ts_ms : at ", reserved("$source.ts_ms"), "__at"),
            ("before.b:old", Place::Before("before.b".to_owned()), "__old"),
            ("after.b", Place::After("b".to_owned()), "__after_b"),
        ] {
            let name = name.to_owned();
            assert_eq!(parse("add.fields", item, "__").unwrap(), [Addition { place, name }]);
        }
    }

    #[test]
    fn items_without_a_meaning_are_refused() {
        for (item, why) in [
            ("header.x", "expected before, after, source or transaction before the dot"),
            ("op:", "expected one name after the colon"),
            ("op:a:b", "expected one name after the colon"),
            ("source.", "expected the name of a field"),
        ] {
            let refusal = parse("add.fields", item, "__").unwrap_err();
            assert_eq!(refusal, format!("add.fields: {item:?}: {why}"));
        }
    }
}
