//! Statements that define tables: what they do to the definitions in force. A statement that is not
//! followed to its end makes its table *unclear*: then the server and the log's table map decide.

mod alter;
mod column;
mod token;

use crate::catalog::TableName;
use crate::definition::TableDefinition;
use crate::history::History;
use crate::table::Naming;
use alter::Around;
use token::Tokens;

/// What a statement does to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Defined(TableName, TableDefinition),
    Dropped(TableName),
    Truncated(TableName),
    /// What records depend on stays as it is.
    Touched(TableName, TableDefinition),
    /// Only the server knows what it is now.
    Unclear(TableName),
}

/// Reads a statement; `database` is the session's.
pub(crate) fn read(sql: &str, database: &str, history: &History, naming: &Naming) -> Vec<Change> {
    let maria = naming.maria;
    let mut tokens = Tokens::new(sql, database, naming.lower_names);
    let mut changes = Vec::new();
    if tokens.eat("create") {
        create(&mut tokens, history, maria, &mut changes);
    } else if tokens.eat("alter") {
        alter(&mut tokens, history, maria, &mut changes);
    } else if tokens.eat("drop") {
        drop_what(&mut tokens, history, &mut changes);
    } else if tokens.eat("rename") {
        if tokens.eat("table") || tokens.eat("tables") {
            rename(&mut tokens, history, &mut changes);
        }
    } else if tokens.eat("truncate") {
        tokens.eat("table");
        changes.extend(tokens.table_name().map(Change::Truncated));
    }
    changes
}

/// The character set of a database, where the history knows it.
fn charset<'h>(history: &'h History, database: &str) -> Option<&'h str> {
    let known = history.get(&(database.to_owned(), String::new()))?;
    Some(known.charset.as_str())
}

fn create(tokens: &mut Tokens<'_>, history: &History, maria: bool, changes: &mut Vec<Change>) {
    if tokens.eat("or") {
        tokens.eat("replace");
    }
    // A temporary table is in no rows event.
    if tokens.eat("table") {
        let careful = tokens.eat_all(&["if", "not", "exists"]);
        let Some(name) = tokens.table_name() else { return };
        if careful && history.get(&name).is_some() {
            return;
        }
        let bracket = tokens.eat_all(&["(", "like"]);
        let definition = if bracket || tokens.eat("like") {
            tokens.table_name().and_then(|other| history.get(&other).cloned())
        } else {
            let around = Around { charset: charset(history, &name.0), maria };
            alter::create(tokens, &around)
        };
        changes.push(match definition {
            Some(definition) => Change::Defined(name, definition),
            None => Change::Unclear(name),
        });
    } else if index(tokens) {
        changes.extend(tokens.table_name().map(|name| indexed(name, history)));
    } else if tokens.eat("database") || tokens.eat("schema") {
        tokens.eat_all(&["if", "not", "exists"]);
        database(tokens, changes);
    }
}

/// A database's character set; it is kept as a table without a name.
fn database(tokens: &mut Tokens<'_>, changes: &mut Vec<Change>) {
    let Some(name) = tokens.identifier() else { return };
    let mut charset = String::new();
    while !tokens.is_at_end() {
        if tokens.eat("charset") || tokens.eat_all(&["character", "set"]) {
            tokens.eat("=");
            charset = tokens.identifier().unwrap_or_default().to_lowercase();
        } else if tokens.eat("collate") {
            tokens.eat("=");
            let collation = tokens.identifier().unwrap_or_default().to_lowercase();
            if charset.is_empty() {
                charset = column::charset_of(&collation).unwrap_or_default();
            }
        } else {
            tokens.skip();
        }
    }
    // Not said is the server's default, which is not known here.
    let definition = TableDefinition { charset, ..TableDefinition::default() };
    changes.push(Change::Defined((name, String::new()), definition));
}

/// `[UNIQUE | FULLTEXT | SPATIAL] INDEX name .. ON`, up to the table's name.
fn index(tokens: &mut Tokens<'_>) -> bool {
    let _kind = tokens.eat("unique") || tokens.eat("fulltext") || tokens.eat("spatial");
    tokens.eat("index") && tokens.skip_to("on")
}

/// A unique key may become the key of the records, or stop to be it.
fn indexed(name: TableName, history: &History) -> Change {
    match history.get(&name).filter(|table| table.primary) {
        Some(table) => Change::Touched(name, table.clone()),
        None => Change::Unclear(name),
    }
}

fn alter(tokens: &mut Tokens<'_>, history: &History, maria: bool, changes: &mut Vec<Change>) {
    tokens.eat("online");
    tokens.eat("ignore");
    if tokens.eat("database") || tokens.eat("schema") {
        return database(tokens, changes);
    }
    if !tokens.eat("table") {
        return;
    }
    tokens.eat_all(&["if", "exists"]);
    let Some(name) = tokens.table_name() else { return };
    let around = Around { charset: charset(history, &name.0), maria };
    let start = tokens.clone();
    let known = history.get(&name);
    let made = known.and_then(|known| alter::alter(tokens, known, &around));
    match made {
        Some((definition, None)) => changes.push(Change::Defined(name, definition)),
        Some((definition, Some(to))) => {
            changes.push(Change::Dropped(name));
            changes.push(Change::Defined(to, definition));
        }
        None => {
            *tokens = start;
            match renamed(tokens) {
                Some(to) => {
                    changes.push(Change::Dropped(name));
                    changes.push(Change::Unclear(to));
                }
                None => changes.push(Change::Unclear(name)),
            }
        }
    }
}

/// The new name in an ALTER TABLE that was not followed.
fn renamed(tokens: &mut Tokens<'_>) -> Option<TableName> {
    let mut to = None;
    while !tokens.is_at_end() {
        if tokens.eat("rename") {
            let _word = tokens.eat("to") || tokens.eat("as");
            if !["column", "index", "key"].iter().any(|w| tokens.is(w)) {
                to = tokens.table_name();
            }
        } else {
            tokens.skip();
        }
    }
    to
}

fn drop_what(tokens: &mut Tokens<'_>, history: &History, changes: &mut Vec<Change>) {
    if tokens.eat("table") || tokens.eat("tables") {
        tokens.eat_all(&["if", "exists"]);
        while let Some(name) = tokens.table_name() {
            changes.push(Change::Dropped(name));
            if !tokens.eat(",") {
                break;
            }
        }
    } else if tokens.eat("database") || tokens.eat("schema") {
        tokens.eat_all(&["if", "exists"]);
        let Some(database) = tokens.identifier() else { return };
        let inside = history.names().filter(|(db, table)| *db == database && !table.is_empty());
        changes.extend(inside.cloned().map(Change::Dropped));
        changes.push(Change::Dropped((database, String::new())));
    } else if index(tokens) {
        changes.extend(tokens.table_name().map(|name| indexed(name, history)));
    }
}

fn rename(tokens: &mut Tokens<'_>, history: &History, changes: &mut Vec<Change>) {
    // Names may be swapped in one statement, so each step sees those before it.
    loop {
        let Some(from) = tokens.table_name() else { return };
        if !tokens.eat("to") {
            return;
        }
        let Some(to) = tokens.table_name() else { return };
        let step = changes.iter().rev().find_map(|change| match change {
            Change::Defined(name, definition) if *name == from => Some(Some(definition.clone())),
            Change::Dropped(name) | Change::Unclear(name) if *name == from => Some(None),
            _ => None,
        });
        let definition = step.unwrap_or_else(|| history.get(&from).cloned());
        changes.push(Change::Dropped(from));
        changes.push(match definition {
            Some(definition) => Change::Defined(to, definition),
            None => Change::Unclear(to),
        });
        if !tokens.eat(",") {
            return;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
