//! What libpq takes from the environment, for a Postgres source that does not say it itself: the
//! `PG*` variables, and the files in the home folder. They are put into the document as references,
//! so that a value that came from outside is shown as one in every message.

use super::reference::Surroundings;
use super::tree::{Body, Key, Node, Text};

/// Option (in its group, if any), variable.
const VARIABLES: &[(&[&str], &str)] = &[
    (&["host"], "PGHOST"),
    (&["port"], "PGPORT"),
    (&["database"], "PGDATABASE"),
    (&["user"], "PGUSER"),
    (&["password"], "PGPASSWORD"),
    (&["sslmode"], "PGSSLMODE"),
    (&["ssl_root_cert"], "PGSSLROOTCERT"),
    (&["connection", "ssl_cert"], "PGSSLCERT"),
    (&["connection", "ssl_key"], "PGSSLKEY"),
    (&["connection", "ssl_crl"], "PGSSLCRL"),
    (&["connection", "channel_binding"], "PGCHANNELBINDING"),
    (&["connection", "passfile"], "PGPASSFILE"),
    (&["connection", "target_session_attrs"], "PGTARGETSESSIONATTRS"),
];
/// Option and the file in the home folder that stands for it, where it is there.
const FILES: &[(&[&str], &str)] =
    &[(&["ssl_root_cert"], ".postgresql/root.crt"), (&["connection", "passfile"], ".pgpass")];

/// Fills in what every Postgres source leaves out.
pub(super) fn fill(root: &mut Node, from: &dyn Surroundings) {
    let Some(pipelines) = member(root, "pipelines") else { return };
    let Body::Map(pipelines) = &mut pipelines.body else { return };
    for (_, pipeline) in pipelines {
        let source = member(pipeline, "source").and_then(|source| member(source, "postgres"));
        let Some(postgres) = source else { continue };
        for (path, variable) in VARIABLES {
            if from.variable(variable).is_some_and(|value| !value.is_empty()) {
                put(postgres, path, format!("${{env:{variable}}}"));
            }
        }
        for (path, file) in FILES {
            let home = from.variable("HOME").unwrap_or_default();
            if !home.is_empty() && from.file(&format!("{home}/{file}")).is_ok() {
                put(postgres, path, format!("${{env:HOME}}/{file}"));
            }
        }
    }
}

fn member<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut Node> {
    let Body::Map(members) = &mut node.body else { return None };
    members.iter_mut().find(|(key, _)| key.name == name).map(|(_, node)| node)
}

/// Adds the value, and the group it is in, where the option is not written.
fn put(node: &mut Node, path: &[&str], written: String) {
    let Some((name, rest)) = path.split_first() else { return };
    let place = node.place;
    let Body::Map(members) = &mut node.body else { return };
    let at = match members.iter().position(|(key, _)| key.name == *name) {
        Some(_) if rest.is_empty() => return,
        Some(at) => at,
        None => {
            let body = match rest {
                [] => Body::Text(Text { written: written.clone(), resolved: None }),
                _ => Body::Map(Vec::new()),
            };
            members.push((Key { name: (*name).to_owned(), place }, Node { place, body }));
            members.len() - 1
        }
    };
    if let Some((_, child)) = members.get_mut(at) {
        put(child, rest, written);
    }
}
