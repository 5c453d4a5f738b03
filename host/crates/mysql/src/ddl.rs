//! Statements that define tables: what they do to the definitions in force. A statement that is not
//! followed to its end makes its table *unclear*: then the server and the log's table map decide.

mod token;

use crate::catalog::TableName;
use crate::definition::TableDefinition;
use crate::history::History;
use token::Tokens;

/// What a statement does to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Defined(TableName, TableDefinition),
    Dropped(TableName),
    Truncated(TableName),
    /// Only the server knows what it is now.
    Unclear(TableName),
}

/// Reads a statement; `database` is the session's.
pub(crate) fn read(sql: &str, database: &str, history: &History) -> Vec<Change> {
    let mut tokens = Tokens::new(sql, database);
    let mut changes = Vec::new();
    if tokens.eat("create") {
        create(&mut tokens, &mut changes);
    } else if tokens.eat("alter") {
        alter(&mut tokens, &mut changes);
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

fn create(tokens: &mut Tokens<'_>, changes: &mut Vec<Change>) {
    if tokens.eat("or") {
        tokens.eat("replace");
    }
    // A temporary table is in no rows event.
    if tokens.eat("table") {
        tokens.eat_all(&["if", "not", "exists"]);
        changes.extend(tokens.table_name().map(Change::Unclear));
    } else if index(tokens) {
        // A unique key may become the key of the records.
        changes.extend(tokens.table_name().map(Change::Unclear));
    }
}

/// `[UNIQUE | FULLTEXT | SPATIAL] INDEX name .. ON`, up to the table's name.
fn index(tokens: &mut Tokens<'_>) -> bool {
    let _kind = tokens.eat("unique") || tokens.eat("fulltext") || tokens.eat("spatial");
    tokens.eat("index") && tokens.skip_to("on")
}

fn alter(tokens: &mut Tokens<'_>, changes: &mut Vec<Change>) {
    tokens.eat("online");
    tokens.eat("ignore");
    if !tokens.eat("table") {
        return;
    }
    tokens.eat_all(&["if", "exists"]);
    let Some(name) = tokens.table_name() else { return };
    let mut renamed = None;
    while !tokens.is_at_end() {
        if tokens.eat("rename") {
            let _word = tokens.eat("to") || tokens.eat("as");
            if !["column", "index", "key"].iter().any(|w| tokens.is(w)) {
                renamed = tokens.table_name();
            }
        } else {
            tokens.skip();
        }
    }
    if let Some(to) = renamed {
        changes.push(Change::Dropped(name));
        changes.push(Change::Unclear(to));
    } else {
        changes.push(Change::Unclear(name));
    }
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
        let inside = history.names().filter(|(db, _)| *db == database);
        changes.extend(inside.cloned().map(Change::Dropped));
    } else if index(tokens) {
        changes.extend(tokens.table_name().map(Change::Unclear));
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
