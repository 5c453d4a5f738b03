//! The online part of `wasmgate validate`: every connector looks at its server; what it finds is
//! printed as lines or as JSON.

use serde_json::{Value, json};
use wasmgate_connector::Finding;

use crate::config::checked;
use crate::connectors;
use crate::exit::{Failure, print};

/// What every connector finds, in the order of the file: (dotted field, finding).
///
/// # Errors
/// A connector cannot be made from its settings.
pub(crate) async fn look(config: &checked::Config) -> Result<Vec<(String, Finding)>, Failure> {
    let mut all = Vec::new();
    let mut add = |at: &str, findings: Vec<Finding>| {
        all.extend(findings.into_iter().map(|finding| (at.to_owned(), finding)));
    };
    for pipeline in &config.pipelines {
        let field = format!("pipelines.{}", pipeline.name);
        let dir = config.data_dir.join("sources").join(&pipeline.name);
        let source = connectors::source(&pipeline.source, &dir)?;
        add(&format!("{field}.source.{}", source.kind()), source.check().await);
        for (index, sink) in pipeline.sinks.iter().enumerate() {
            let sink = connectors::sink(&sink.kind, None)?;
            add(&format!("{field}.sinks[{index}].{}", sink.kind()), sink.check().await);
        }
        let letters = connectors::dead_letters(&pipeline.dead_letters)?;
        add(&format!("{field}.dead_letters.{}", letters.kind()), letters.check().await);
    }
    Ok(all)
}

/// Prints what is well; what is not is the failure.
///
/// # Errors
/// Something is not well.
pub(crate) fn report(found: Vec<(String, Finding)>) -> Result<(), Failure> {
    let mut broken = Vec::new();
    for (at, Finding { ok, what, fix }) in found {
        let word = match (ok, &fix) {
            (true, None) => "ok: ",
            (true, Some(_)) => "note: ",
            (false, _) => "",
        };
        let fix = fix.map(|fix| format!("\n  help: {fix}")).unwrap_or_default();
        let line = format!("{word}{at}: {what}{fix}");
        if ok { print(&line)? } else { broken.push(line) }
    }
    if broken.is_empty() { Ok(()) } else { Err(Failure::Config(broken.join("\n"))) }
}

/// Prints one document: `{"ok", "findings": [{"at", "level", "what", "fix"}]}`; `level` is `ok`,
/// `note` or `error`.
///
/// # Errors
/// Something is not well; the document says what.
pub(crate) fn report_json(found: Vec<(String, Finding)>) -> Result<(), Failure> {
    let ok = found.iter().all(|(_, finding)| finding.ok);
    let level = |finding: &Finding| match (finding.ok, &finding.fix) {
        (true, None) => "ok",
        (true, Some(_)) => "note",
        (false, _) => "error",
    };
    let findings: Vec<Value> = found
        .iter()
        .map(|(at, f)| json!({ "at": at, "level": level(f), "what": f.what, "fix": f.fix }))
        .collect();
    print(&format!("{:#}", json!({ "ok": ok, "findings": findings })))?;
    let broken = "the servers are not as they have to be: see `findings`";
    if ok { Ok(()) } else { Err(Failure::Config(broken.to_owned())) }
}
