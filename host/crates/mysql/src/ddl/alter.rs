//! CREATE TABLE and ALTER TABLE, applied to a definition. `None` everywhere: not followed.

use super::column::{Written, charset_of, column};
use super::token::Tokens;
use crate::definition::TableDefinition;

/// What a statement is read beside.
pub(super) struct Around<'a> {
    /// The database's character set, where it is known.
    pub(super) charset: Option<&'a str>,
    pub(super) maria: bool,
}

/// `( columns and keys ) options`, behind CREATE TABLE and the name.
pub(super) fn create(tokens: &mut Tokens<'_>, around: &Around<'_>) -> Option<TableDefinition> {
    // The table's character set stands behind the columns, so it is looked for first.
    let charset = table_charset(tokens.behind_parentheses()).or_else(|| {
        let default = around.charset?;
        (!default.is_empty()).then(|| default.to_owned())
    });
    if !tokens.eat("(") {
        return None;
    }
    let mut table = TableDefinition { charset: charset.unwrap_or_default(), ..Default::default() };
    loop {
        if !key(tokens, &mut table)? {
            let known = (!table.charset.is_empty()).then_some(table.charset.as_str());
            let written = column(tokens, known, around.maria)?;
            add(&mut table, written, None)?;
        }
        if tokens.eat(")") {
            break;
        }
        if !tokens.eat(",") {
            return None;
        }
    }
    while !tokens.is_at_end() {
        if tokens.is("select") || tokens.is("as") {
            return None;
        }
        if tokens.eat("comment") {
            tokens.eat("=");
            table.comment = tokens.text()?;
        } else {
            tokens.skip();
        }
    }
    Some(table)
}

/// A table's own default among its options.
fn table_charset(mut tokens: Tokens<'_>) -> Option<String> {
    let mut found = None;
    while !tokens.is_at_end() {
        if tokens.eat("charset") || tokens.eat_all(&["character", "set"]) {
            tokens.eat("=");
            return tokens.identifier().map(|name| name.to_lowercase());
        }
        if tokens.eat("collate") {
            tokens.eat("=");
            found = tokens.identifier().and_then(|name| charset_of(&name.to_lowercase()));
        } else {
            tokens.skip();
        }
    }
    found
}

/// Where a column goes.
enum Place {
    First,
    After(String),
}

fn place(tokens: &mut Tokens<'_>) -> Option<Option<Place>> {
    if tokens.eat("first") {
        return Some(Some(Place::First));
    }
    if tokens.eat("after") {
        return Some(Some(Place::After(tokens.identifier()?)));
    }
    Some(None)
}

fn add(table: &mut TableDefinition, written: Written, place: Option<Place>) -> Option<()> {
    let name = written.column.name.clone();
    let at = match place {
        None => table.columns.len(),
        Some(Place::First) => 0,
        Some(Place::After(other)) => index(table, &other)? + 1,
    };
    if index(table, &name).is_some() {
        return None;
    }
    let usable = !written.column.nullable;
    table.columns.insert(at, written.column);
    if written.primary {
        (table.key, table.primary) = (vec![name], true);
    } else if written.unique && usable && table.key.is_empty() {
        table.key = vec![name];
    }
    Some(())
}

/// Names of columns do not count case.
fn index(table: &TableDefinition, name: &str) -> Option<usize> {
    table.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name))
}

/// A key or a constraint. `Some(false)`: something else stands there.
fn key(tokens: &mut Tokens<'_>, table: &mut TableDefinition) -> Option<bool> {
    let named = tokens.eat("constraint");
    if named && !["primary", "unique", "foreign", "check"].iter().any(|w| tokens.is(w)) {
        tokens.identifier()?;
    }
    let (primary, unique) = (tokens.is("primary"), tokens.is("unique"));
    let other = ["key", "index", "fulltext", "spatial", "foreign", "check", "period"];
    if !(primary || unique || other.iter().any(|word| tokens.is(word))) {
        return (!named).then_some(false);
    }
    if tokens.is("period") {
        return None;
    }
    while !tokens.is("(") {
        if tokens.is_at_end() {
            return None;
        }
        tokens.skip();
    }
    let parts = tokens.names_in_parentheses();
    // What may follow: USING BTREE, REFERENCES t (c) ON DELETE .., COMMENT, VISIBLE.
    while !tokens.is_at_end() && !tokens.is(",") && !tokens.is(")") {
        if tokens.is("(") { tokens.skip_parentheses() } else { tokens.skip() }
    }
    if !(primary || unique) {
        return Some(true);
    }
    let mut names = Vec::new();
    for part in parts? {
        let at = index(table, &part)?;
        if primary {
            table.columns.get_mut(at)?.nullable = false;
        }
        names.push(table.columns.get(at)?.clone());
    }
    let never_null = names.iter().all(|c| !c.nullable);
    if primary || (never_null && table.key.is_empty()) {
        table.key = names.into_iter().map(|c| c.name).collect();
        table.primary = primary;
    }
    Some(true)
}

/// What ALTER TABLE makes of a definition: the definition, and the name if it is a new one.
pub(super) fn alter(
    tokens: &mut Tokens<'_>,
    before: &TableDefinition,
    around: &Around<'_>,
) -> Option<(TableDefinition, Option<(String, String)>)> {
    let mut table = before.clone();
    let mut renamed = None;
    while !tokens.is_at_end() {
        action(tokens, &mut table, &mut renamed, around)?;
        if !tokens.eat(",") {
            break;
        }
    }
    tokens.is_at_end().then_some((table, renamed))
}

fn action(
    tokens: &mut Tokens<'_>,
    table: &mut TableDefinition,
    renamed: &mut Option<(String, String)>,
    around: &Around<'_>,
) -> Option<()> {
    if tokens.eat("add") {
        return add_action(tokens, table, around);
    }
    if tokens.eat("drop") {
        return drop_action(tokens, table);
    }
    if tokens.eat("modify") {
        tokens.eat("column");
        tokens.eat_all(&["if", "exists"]);
        return redefine(tokens, table, None, around);
    }
    if tokens.eat("change") {
        tokens.eat("column");
        tokens.eat_all(&["if", "exists"]);
        let old = tokens.identifier()?;
        return redefine(tokens, table, Some(old), around);
    }
    if tokens.eat("rename") {
        return rename_action(tokens, table, renamed);
    }
    if tokens.eat("alter") {
        tokens.eat("column");
        if tokens.is("index") || tokens.is("check") || tokens.is("constraint") {
            return skip_action(tokens);
        }
        let at = index(table, &tokens.identifier()?)?;
        // A default is text of the type: the server knows how it prints it.
        table.columns.get_mut(at)?.default = None;
        return if tokens.eat_all(&["drop", "default"]) { Some(()) } else { None };
    }
    if tokens.eat("convert") {
        let known =
            tokens.eat_all(&["to", "character", "set"]) || tokens.eat_all(&["to", "charset"]);
        let charset = if known { tokens.identifier()?.to_lowercase() } else { return None };
        table.columns.iter_mut().filter(|c| c.charset.is_some()).for_each(|c| {
            c.charset = Some(charset.clone());
        });
        table.charset = charset;
        return skip_action(tokens);
    }
    tokens.eat("default");
    if tokens.eat("charset") || tokens.eat_all(&["character", "set"]) {
        tokens.eat("=");
        table.charset = tokens.identifier()?.to_lowercase();
    } else if tokens.eat("comment") {
        tokens.eat("=");
        table.comment = tokens.text()?;
        return Some(());
    }
    skip_action(tokens)
}

/// What does not touch columns: engines, partitions, indexes.
fn skip_action(tokens: &mut Tokens<'_>) -> Option<()> {
    while !tokens.is_at_end() && !tokens.is(",") {
        if tokens.is("(") { tokens.skip_parentheses() } else { tokens.skip() }
    }
    Some(())
}

fn add_action(
    tokens: &mut Tokens<'_>,
    table: &mut TableDefinition,
    around: &Around<'_>,
) -> Option<()> {
    // Without a primary key any unique key may be the one that identifies rows.
    if !table.primary && (tokens.is("unique") || tokens.is("constraint")) {
        return None;
    }
    if tokens.is("partition") || key(tokens, table)? {
        return skip_action(tokens);
    }
    tokens.eat("column");
    tokens.eat_all(&["if", "not", "exists"]);
    let charset = (!table.charset.is_empty()).then(|| table.charset.clone());
    if tokens.eat("(") {
        loop {
            let written = column(tokens, charset.as_deref(), around.maria)?;
            add(table, written, None)?;
            if tokens.eat(")") {
                return Some(());
            }
            if !tokens.eat(",") {
                return None;
            }
        }
    }
    let written = column(tokens, charset.as_deref(), around.maria)?;
    let place = place(tokens)?;
    add(table, written, place)
}

fn drop_action(tokens: &mut Tokens<'_>, table: &mut TableDefinition) -> Option<()> {
    if tokens.eat("primary") {
        // A unique key may take its place.
        return None;
    }
    for word in ["index", "key", "foreign", "constraint", "check", "partition"] {
        if tokens.is(word) {
            return if table.primary { skip_action(tokens) } else { None };
        }
    }
    tokens.eat("column");
    tokens.eat_all(&["if", "exists"]);
    let at = index(table, &tokens.identifier()?)?;
    let gone = table.columns.remove(at);
    tokens.eat("restrict");
    // The key goes with it, or shrinks: the server knows.
    (!table.key.contains(&gone.name)).then_some(())
}

fn redefine(
    tokens: &mut Tokens<'_>,
    table: &mut TableDefinition,
    old: Option<String>,
    around: &Around<'_>,
) -> Option<()> {
    let charset = (!table.charset.is_empty()).then(|| table.charset.clone());
    let mut written = column(tokens, charset.as_deref(), around.maria)?;
    let at = index(table, old.as_deref().unwrap_or(&written.column.name))?;
    let before = table.columns.remove(at);
    if let Some(part) = table.key.iter_mut().find(|part| **part == before.name) {
        written.column.name.clone_into(part);
        if table.primary {
            written.column.nullable = false;
        }
    }
    let at = match place(tokens)? {
        None => at,
        Some(Place::First) => 0,
        Some(Place::After(other)) => index(table, &other)? + 1,
    };
    if written.primary {
        (table.key, table.primary) = (vec![written.column.name.clone()], true);
    }
    // Another NULL changes which unique key identifies rows.
    let same = table.primary || before.nullable == written.column.nullable;
    table.columns.insert(at, written.column);
    same.then_some(())
}

fn rename_action(
    tokens: &mut Tokens<'_>,
    table: &mut TableDefinition,
    renamed: &mut Option<(String, String)>,
) -> Option<()> {
    if tokens.is("index") || tokens.is("key") {
        return skip_action(tokens);
    }
    if tokens.eat("column") {
        let (old, to) = (tokens.identifier()?, tokens.eat("to"));
        let new = if to { tokens.identifier()? } else { return None };
        let at = index(table, &old)?;
        let column = table.columns.get_mut(at)?;
        if let Some(part) = table.key.iter_mut().find(|part| **part == column.name) {
            new.clone_into(part);
        }
        column.name = new;
        return Some(());
    }
    let _word = tokens.eat("to") || tokens.eat("as");
    *renamed = Some(tokens.table_name()?);
    Some(())
}
