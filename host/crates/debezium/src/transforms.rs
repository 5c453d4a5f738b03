//! Single message transforms: a chain of classes as a chain of modules, in the order of
//! `transforms`. `ExtractNewRecordState` is the module `unwrap`, `RegexRouter` is `route`; any
//! other class is refused by name: leaving one out would change the records and say nothing.

use crate::finding::Verdict;
use crate::predicates::{self, Guard};
use crate::setting::{Setting, Value};
use crate::spelling::closest;
use crate::translate::Work;
use crate::{java, value};

const UNWRAP: &str = "io.debezium.transforms.ExtractNewRecordState";
const REGEX_ROUTER: &str = "org.apache.kafka.connect.transforms.RegexRouter";

/// Options of `ExtractNewRecordState`, which the module takes under the same names.
const UNWRAP_OPTIONS: &[&str] = &[
    "delete.tombstone.handling.mode",
    "add.fields",
    "add.fields.prefix",
    "add.headers",
    "add.headers.prefix",
    "route.by.field",
    "drop.fields.header.name",
    "drop.fields.from.key",
    "drop.fields.keep.schema.compatible",
    "replace.null.with.default",
];

const DELETES: &[&str] =
    &["drop", "tombstone", "delete-to-tombstone", "rewrite", "rewrite-with-tombstone"];

/// Options that every transform has.
const COMMON: &[&str] = &["type", "predicate", "negate", "plugin.version"];

/// A transform of the chain.
pub(crate) struct Transform {
    /// `transforms.NAME`.
    pub(crate) prefix: String,
    /// Index of its `type`.
    pub(crate) class: usize,
    /// Its own options: index, name.
    pub(crate) options: Vec<(usize, String)>,
    /// An earlier one may have changed topics.
    pub(crate) rerouted: bool,
}

pub(crate) fn translate(work: &mut Work) {
    let chain = work.find("transforms").map(|(i, p)| (i, value::list(p.value())));
    let names = chain.as_ref().map_or(&[][..], |(_, names)| names);
    if let Some((index, names)) = &chain {
        work.honoured(*index, "the pipeline's modules, in this order");
        if let Some(twice) =
            names.iter().enumerate().find(|(i, n)| names.iter().take(*i).any(|m| m == *n))
        {
            work.wrong(*index, format!("names `{}` twice", twice.1));
        }
    }
    let mut rerouted = false;
    for name in names {
        rerouted |= transform(work, name, rerouted);
    }
    predicates::answer(work);
    for (index, rest) in work.under("transforms.") {
        let listed = names.iter().any(|name| rest.starts_with(&format!("{name}.")));
        if !listed {
            let name = rest.split('.').next().unwrap_or_default();
            let why = format!("`transforms` does not name `{name}`");
            work.answer(index, Verdict::Ignored, why);
        }
    }
}

/// One transform; whether topics may be others after it.
fn transform(work: &mut Work, name: &str, rerouted: bool) -> bool {
    let prefix = format!("transforms.{name}");
    let Some((class, property)) = work.find(&format!("{prefix}.type")) else {
        work.missing(&format!("{prefix}.type"), "add the class of the transform");
        return false;
    };
    let found = property.value().trim().to_owned();
    let options = work.under(&format!("{prefix}."));
    let options = options.into_iter().filter(|(_, option)| !COMMON.contains(&option.as_str()));
    let transform = Transform { class, options: options.collect(), rerouted, prefix };
    if let Some((index, _)) = work.find(&format!("{}.plugin.version", transform.prefix)) {
        work.answer(index, Verdict::Ignored, "modules have versions of their own");
    }
    match found.as_str() {
        UNWRAP => unwrap(work, &transform),
        REGEX_ROUTER => route(work, &transform),
        other => {
            refuse(work, &transform, other);
            false
        }
    }
}

fn refuse(work: &mut Work, transform: &Transform, found: &str) {
    let last = found.rsplit(['.', '$']).next().unwrap_or(found);
    let (why, help) = match last {
        "ByLogicalTableRouter" => (
            "merges topics and makes keys unique with a field of their own",
            "a `RegexRouter` merges topics, if keys are unique over them",
        ),
        "EventRouter" => ("the outbox router", "write a module, see docs/rule-authors.md"),
        "UnwrapFromEnvelope" => ("older than Debezium 1.0", UNWRAP),
        _ => ("", "write a module that does it, see docs/rule-authors.md"),
    };
    let note = if why.is_empty() { String::new() } else { format!(" ({why})") };
    let known = format!("`{UNWRAP}` and `{REGEX_ROUTER}` are known");
    let found = work.shown(transform.class, found);
    let why = format!("`{found}`{note}: no module does that; {known}");
    work.refuse(transform.class, why, help);
    for (index, _) in &transform.options {
        work.answer(*index, Verdict::Ignored, "its transform is refused");
    }
    for option in ["predicate", "negate"] {
        if let Some((index, _)) = work.find(&format!("{}.{option}", transform.prefix)) {
            work.answer(index, Verdict::Ignored, "its transform is refused");
        }
    }
}

/// Debezium's names are the module's own; flags are checked by the module.
fn unwrap(work: &mut Work, transform: &Transform) -> bool {
    let mut config = Setting::map(None);
    let mut reroutes = false;
    for (index, option) in &transform.options {
        let Some(property) = work.properties.get(*index).cloned() else { continue };
        match option.as_str() {
            "drop.tombstones" | "delete.handling.mode" => {
                let why = "without effect since Debezium 3.0: `delete.tombstone.handling.mode` \
                           decides";
                work.answer(*index, Verdict::Ignored, why);
                continue;
            }
            "delete.tombstone.handling.mode" => {
                if let Err(what) = value::word(&property, DELETES) {
                    work.wrong(*index, what);
                    continue;
                }
            }
            "drop.fields.from.key"
            | "drop.fields.keep.schema.compatible"
            | "replace.null.with.default" => {
                if let Err(what) = value::flag(&property) {
                    work.wrong(*index, what);
                    continue;
                }
            }
            "route.by.field" => reroutes = !property.value().trim().is_empty(),
            known if UNWRAP_OPTIONS.contains(&known) => {}
            other => {
                unknown(work, *index, other, UNWRAP_OPTIONS);
                continue;
            }
        }
        work.honoured(*index, "option of the module `unwrap`");
        config.set(option, Setting::text(property.value().trim(), *index));
    }
    let mode = work.text_or(&format!("{}.delete.tombstone.handling.mode", transform.prefix), "");
    let rewrites = mode.eq_ignore_ascii_case("rewrite");
    let guard = predicates::guard(work, transform, rewrites);
    if let Guard::KeepTombstones(index) = guard {
        let mode = Setting::text("rewrite-with-tombstone", index);
        config.set("delete.tombstone.handling.mode", mode);
    }
    stage(work, transform, "unwrap", config, &guard);
    reroutes
}

fn route(work: &mut Work, transform: &Transform) -> bool {
    let mut entry = Setting::map(None);
    for (option, ours) in [("regex", "pattern"), ("replacement", "topic")] {
        let name = format!("{}.{option}", transform.prefix);
        let Some((index, property)) = work.find(&name) else {
            work.missing(&name, "a RegexRouter needs `regex` and `replacement`");
            continue;
        };
        let text = property.value().to_owned();
        if option == "regex"
            && let Some(lacking) = java::lacking(&text)
        {
            let why = format!("{lacking} is not supported in patterns");
            work.refuse(index, why, "write the pattern without it, or a module");
            continue;
        }
        entry.put(ours, Setting::text(text, index));
        work.honoured(index, "option of the module `route`");
    }
    for (index, option) in &transform.options {
        if !matches!(option.as_str(), "regex" | "replacement") {
            unknown(work, *index, option, &["regex", "replacement"]);
        }
    }
    let mut config = Setting::map(None);
    config.put("topics", Setting { value: Value::List(vec![entry]), from: None });
    let guard = predicates::guard(work, transform, false);
    stage(work, transform, "route", config, &guard);
    true
}

fn unknown(work: &mut Work, index: usize, option: &str, known: &[&'static str]) {
    let text = "no option of this transform; nothing is done about it";
    let help = closest(option, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    work.answer_with(index, Verdict::Unknown, text, help);
}

fn stage(work: &mut Work, transform: &Transform, module: &str, config: Setting, guard: &Guard) {
    let mut stage = Setting::map(Some(transform.class));
    stage.put("module", Setting::text(module, transform.class));
    if let Guard::Topics(topics) = guard {
        stage.put("when.topics", topics.clone());
    }
    stage.put("config", Setting { from: Some(transform.class), ..config });
    let number = work.pipeline.get("transforms").map_or(0, Setting::entries);
    work.pipeline.push_at("transforms", stage);
    let at = format!("transforms[{number}]");
    work.stands_for(at.clone(), &transform.prefix);
    work.stands_for(format!("{at}.module"), &format!("{}.type", transform.prefix));
    work.stands_for(format!("{at}.when"), &format!("{}.predicate", transform.prefix));
    work.honoured(transform.class, format!("module `{module}`"));
}
