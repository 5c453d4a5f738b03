//! Predicates of transforms: which records a transform sees. A stage's `when` knows the topic
//! that a record came with; what it cannot say exactly is refused by name.

use crate::finding::Verdict;
use crate::java;
use crate::setting::Setting;
use crate::transforms::Transform;
use crate::translate::Work;
use crate::value;

const TOPIC: &str = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";
const TOMBSTONE: &str = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone";
const HEADER: &str = "org.apache.kafka.connect.transforms.predicates.HasHeaderKey";

/// Which records a stage sees.
pub(crate) enum Guard {
    All,
    /// `when.topics`.
    Topics(Setting),
    /// All but tombstones, of an `unwrap` that rewrites: the mode that keeps them says the same.
    KeepTombstones(usize),
}

/// The guard of a transform; what cannot be said is answered and refused. `rewrites` is an
/// `unwrap` in the mode `rewrite`.
pub(crate) fn guard(work: &mut Work, transform: &Transform, rewrites: bool) -> Guard {
    let negated = negated(work, transform);
    let name = format!("{}.predicate", transform.prefix);
    let Some((index, property)) = work.find(&name) else { return Guard::All };
    let predicate = property.value().trim().to_owned();
    if predicate.is_empty() {
        work.honoured(index, "every record");
        return Guard::All;
    }
    let listed = value::list(work.text_or("predicates", "")).contains(&predicate);
    let class = work.text_or(&format!("predicates.{predicate}.type"), "").to_owned();
    match class.as_str() {
        _ if !listed => work.wrong(index, format!("`predicates` does not name `{predicate}`")),
        "" => work.missing(&format!("predicates.{predicate}.type"), "add the predicate's class"),
        TOMBSTONE if negated && rewrites => {
            work.honoured(index, "mode `rewrite-with-tombstone` of the module `unwrap`");
            return Guard::KeepTombstones(index);
        }
        TOPIC if negated => {
            let help = "write a pattern for the topics that it is for";
            work.refuse(index, "`TopicNameMatches` cannot be negated", help);
        }
        TOPIC if transform.rerouted => {
            let why = "`TopicNameMatches` after a transform that renames topics: here a stage is \
                       chosen by the topic that the record came with";
            work.refuse(index, why, "put this transform before the one that renames");
        }
        TOPIC => return topics(work, index, &predicate),
        TOMBSTONE | HEADER => {
            let last = class.rsplit('.').next().unwrap_or(&class);
            let why = format!("`{last}`: stages are chosen by topic only");
            work.refuse(index, why, "write a module that looks at the record");
        }
        other => {
            let why = format!("the predicate `{other}` is not known");
            work.refuse(index, why, &format!("`{TOPIC}` is known"));
        }
    }
    Guard::All
}

fn negated(work: &mut Work, transform: &Transform) -> bool {
    let name = format!("{}.negate", transform.prefix);
    let Some((index, property)) = work.find(&name) else { return false };
    match value::flag(property) {
        Ok(flag) => {
            work.honoured(index, "with its predicate");
            flag
        }
        Err(what) => {
            work.wrong(index, what);
            false
        }
    }
}

fn topics(work: &mut Work, index: usize, predicate: &str) -> Guard {
    let name = format!("predicates.{predicate}.pattern");
    let Some((pattern, property)) = work.find(&name) else {
        work.missing(&name, "add the pattern of the topics");
        return Guard::All;
    };
    let text = property.value().trim().to_owned();
    if let Some(lacking) = java::lacking(&text) {
        let why = format!("{lacking} is not supported in patterns");
        work.refuse(pattern, why, "write the pattern without it");
        return Guard::All;
    }
    work.honoured(index, "`when.topics` of the module");
    work.honoured(pattern, "`when.topics` of the module");
    Guard::Topics(Setting::texts([text], pattern))
}

/// What is left to say about predicates.
pub(crate) fn answer(work: &mut Work) {
    let listed = work.find("predicates").map(|(i, p)| (i, value::list(p.value())));
    if let Some((index, _)) = listed {
        work.honoured(index, "for the transforms that name them");
    }
    let names = listed.map(|(_, names)| names).unwrap_or_default();
    for (index, rest) in work.under("predicates.") {
        let name = rest.split('.').next().unwrap_or_default();
        if names.iter().any(|listed| listed == name) {
            work.unless_answered(index, Verdict::Honoured, "for the transforms that name it");
        } else {
            let why = format!("`predicates` does not name `{name}`");
            work.unless_answered(index, Verdict::Ignored, &why);
        }
    }
}
