//! `wasmgate module inspect FILE`.

use std::path::Path;

use wasmgate_connector::ModuleKind;
use wasmgate_wasm::{Form, Inspection, Limits, Runtime};

use crate::assemble::compiler;
use crate::exit::{Failure, print};

/// Shows what a module is and whether the gateway takes it.
///
/// # Errors
/// The file cannot be read, is no module, or would be refused.
pub(crate) fn inspect(file: &Path) -> Result<(), Failure> {
    let name = file.display();
    let bytes = std::fs::read(file)
        .map_err(|error| Failure::Runtime(format!("{name}: cannot be read: {error}")))?;
    let runtime = Runtime::new(Limits::default(), None)?.with_compiler(compiler()?);
    let inspection = runtime
        .inspect(&bytes)
        .map_err(|fault| Failure::Runtime(format!("{name}: {}", fault.chain())))?;
    print(&describe(&inspection))?;
    match inspection.refusal {
        None => Ok(()),
        Some(refusal) => Err(Failure::Runtime(format!("{name}: would be refused: {refusal}"))),
    }
}

fn describe(found: &Inspection) -> String {
    let form = match found.form {
        Form::Component => "component",
        Form::CoreModule => "core module (the gateway makes it a component)",
    };
    let world = found.kind.map_or("none of wasmgate:transform", world);
    let list = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    let mut lines = vec![
        ("form", form.to_owned()),
        ("world", world.to_owned()),
        ("sha256", found.sha256.clone()),
        ("size", format!("{} bytes", found.size)),
        ("imports", list(&found.imports)),
        ("exports", list(&found.exports)),
    ];
    if let Some(own) = &found.description {
        lines.push(("version", own.version.clone()));
        lines.push(("summary", own.summary.clone()));
        lines.push(("config", indented(&own.config_schema)));
    }
    let lines = lines.into_iter().map(|(label, value)| format!("{label:8} {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A JSON Schema for reading.
fn indented(schema: &str) -> String {
    let parsed = serde_json::from_str::<serde_json::Value>(schema);
    parsed.map_or_else(|_| schema.to_owned(), |json| format!("{json:#}"))
}

/// A world's name in `wit/`.
pub(crate) fn world(kind: ModuleKind) -> &'static str {
    match kind {
        ModuleKind::Transform => "transform",
        ModuleKind::Policy => "dead-letter-policy",
        ModuleKind::RawTransform => "raw-transform",
    }
}
