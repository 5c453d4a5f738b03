//! `wasmgate module inspect FILE`.

use std::path::Path;

use wasmgate_cases::Bound;
use wasmgate_connector::{Module as _, ModuleKind, Read, Write};
use wasmgate_model::Shape;
use wasmgate_wasm::{Form, Inspection};

use crate::commands::module::file::{case, name, read, runtime, transform};
use crate::exit::{Failure, print};

/// Shows what a module is and whether the gateway takes it; with a case file also what it reads
/// and writes under that configuration and schema.
///
/// # Errors
/// The file cannot be read, is no module, or would be refused.
pub(crate) fn inspect(file: &Path, schema: Option<&Path>) -> Result<(), Failure> {
    let shown = file.display();
    let bytes = read(file)?;
    let inspection = runtime()?
        .inspect(&name(file), &bytes)
        .map_err(|fault| Failure::Runtime(format!("{shown}: {}", fault.chain())))?;
    print(&describe(&inspection))?;
    match inspection.refusal {
        None => schema.map_or(Ok(()), |schema| print(&lineage(file, schema)?)),
        Some(refusal) => Err(Failure::Runtime(format!("{shown}: would be refused: {refusal}"))),
    }
}

/// What the module does to the records of a case's schema.
fn lineage(file: &Path, schema: &Path) -> Result<String, Failure> {
    let case = case(schema)?;
    let module = transform(file)?;
    let refused = |fault: wasmgate_model::Fault| {
        Failure::Runtime(format!("{}: {}", file.display(), fault.chain()))
    };
    let mut stage = module.open(&case.config.to_string()).map_err(refused)?;
    let bound = Bound::new(&mut *stage, &case, &case.schema.name, 0).map_err(refused)?;
    stage.close();
    let Some(projection) = &bound.projection else {
        return Ok(format!("reads    nothing: records of {} pass untouched", case.schema.name));
    };
    let read = |read: &Read| {
        let optional = if read.optional { "" } else { ", must be there" };
        format!("{} ({}{optional})", read.name, read.kind.name())
    };
    let write = |write: &Write| format!("{} ({})", write.name, write.kind.name());
    let rename = |(from, to): &(String, String)| format!("{from} to {to}");
    let lines = [
        ("reads", projection.reads.iter().map(read).collect::<Vec<_>>()),
        ("writes", projection.writes.iter().map(write).collect()),
        ("removes", projection.removes.clone()),
        ("renames", projection.renames.iter().map(rename).collect()),
    ];
    let mut lines: Vec<String> =
        lines.iter().map(|(label, names)| format!("{label:8} {}", list(names))).collect();
    if projection.shape == Shape::Row {
        lines.push("shape    the flat row in place of a change envelope".to_owned());
    }
    Ok(lines.join("\n"))
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

fn describe(found: &Inspection) -> String {
    let form = match found.form {
        Form::Component => "component",
        Form::CoreModule => "core module (the gateway makes it a component)",
    };
    let world = found.kind.map_or("none of wasmgate:transform", world);
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
