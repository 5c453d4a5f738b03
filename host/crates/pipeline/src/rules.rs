//! What the contract allows a projection to name.

use wasmgate_connector::{Projection, Write};
use wasmgate_model::{Fault, FaultKind, Kind};

/// Where a written column goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Field,
    Topic,
    Key,
    Partition,
    Tombstone,
    Header(String),
}

/// Reads the name and kind of a write.
pub(crate) fn target(stage: &str, write: &Write) -> Result<Target, Fault> {
    let Some(reserved) = write.name.strip_prefix('$') else {
        return Ok(Target::Field);
    };
    let (target, kind) = match reserved {
        "topic" => (Target::Topic, Kind::Text),
        "key" => (Target::Key, Kind::Text),
        "partition" => (Target::Partition, Kind::Integer),
        "tombstone" => (Target::Tombstone, Kind::Boolean),
        _ => match reserved.strip_prefix("header.") {
            Some(name) if name.contains(char::is_control) => {
                let what =
                    format!("writes {:?}, a header whose name has control characters", write.name);
                return Err(refused(stage, &what));
            }
            Some(name) => (Target::Header(name.to_owned()), Kind::Text),
            None => {
                return Err(refused(
                    stage,
                    &format!("writes {}, which is no such name", write.name),
                ));
            }
        },
    };
    if write.kind != kind {
        let (name, found, want) = (&write.name, write.kind.name(), kind.name());
        return Err(refused(stage, &format!("writes {name} as {found}; it is {want}")));
    }
    Ok(target)
}

/// A bind that cannot be.
pub(crate) fn refused(stage: &str, what: &str) -> Fault {
    Fault::new(FaultKind::ModuleRefused, format!("module {stage} {what}"))
}

/// Checks names that are the same for every schema.
pub(crate) fn check(stage: &str, projection: &Projection) -> Result<(), Fault> {
    let mut seen = std::collections::HashSet::new();
    for write in &projection.writes {
        if write.name.is_empty() || !seen.insert(&write.name) {
            return Err(refused(
                stage,
                &format!("writes field {:?} twice or without a name", write.name),
            ));
        }
    }
    let renames = projection.renames.iter().flat_map(|(from, to)| [from, to]);
    if let Some(name) = renames.into_iter().find(|n| n.starts_with('$')) {
        return Err(refused(stage, &format!("renames {name}; only fields can be renamed")));
    }
    let key = |n: &String| n.starts_with('$') && !n.starts_with("$key.");
    if let Some(name) = projection.removes.iter().find(|n| key(n)) {
        return Err(refused(
            stage,
            &format!("removes {name}; only fields and $key.NAME can be removed"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_no_control_characters_in_its_name() {
        let write = |name: &str| Write { name: name.into(), kind: Kind::Text, nullable: true };
        let header = target("m", &write("$header.a"));
        assert!(matches!(header, Ok(Target::Header(name)) if name == "a"));
        for name in ["$header.a\r\nb", "$header.\u{85}"] {
            let refused = target("m", &write(name)).err().map(|fault| fault.chain());
            assert!(refused.is_some_and(|said| said.contains("control characters")), "{name:?}");
        }
    }
}
