//! What the path costs in memory, without servers: one thread, the shipped modules as components,
//! epochs on, outputs checked once before timing. Prints nanoseconds per record. `cargo xtask
//! modules` has to have run.

#![allow(clippy::print_stdout, reason = "the result is what this program prints")]

mod native;
mod paths;
mod rounds;
mod safety;
mod workload;

use std::path::Path;
use std::sync::Arc;

use wasmgate_connector::Module;
use wasmgate_pipeline::{Chain, LaneChain, StageSpec};
use wasmgate_telemetry::Telemetry;
use wasmgate_wasm::{Limits, Loaded, Runtime};

type Problem = Box<dyn std::error::Error>;

/// A chain of shipped modules: (name, configuration).
fn chain(runtime: &Runtime, stages: &[(&str, &str)]) -> Result<(Arc<Chain>, LaneChain), Problem> {
    let specs = stages.iter().map(|(name, config)| {
        let module: Arc<dyn Module> = load(runtime, name)?;
        Ok(StageSpec { module, config: (*config).into(), topics: None })
    });
    let chain = Arc::new(Chain::new(specs.collect::<Result<_, Problem>>()?)?);
    let metrics = Telemetry::new().pipeline("bench");
    Ok((Arc::clone(&chain), LaneChain::new(chain, metrics)))
}

fn load(runtime: &Runtime, name: &str) -> Result<Arc<dyn Module>, Problem> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../transforms").join(name);
    let path = path.with_extension("wasm");
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    match runtime.load(name, &bytes)? {
        Loaded::Transform(module) => Ok(module),
        Loaded::Policy(_) => Err(format!("{name} is a policy").into()),
    }
}

/// Measures everything, or what the first argument names: `stages`, `each`, `documents`, `rows`,
/// `safety` or one stage.
fn main() -> Result<(), Problem> {
    let only = std::env::args().nth(1).filter(|only| only != "memory");
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let runtime = Runtime::new(Limits::default(), None)?;
    if wanted("stages") {
        println!("five stages (unwrap, quality 5f, fraud 3f, route 2f, identity), ns per record");
        for rows in [1, 16, 64, 256, 1024] {
            let wasm = paths::stages(&runtime, &paths::FIVE, rows)?;
            let native = native::stages(rows);
            println!("  batch {rows:>4}: modules {wasm:>7.0}  native rules {native:>6.1}");
        }
    }
    let each = paths::FIVE.iter().filter(|(name, _)| wanted("each") || wanted(name));
    if each.clone().count() > 0 {
        println!("one stage alone, ns per record at batch 1 and 256");
        for stage in each {
            let alone = |rows| paths::stages(&runtime, std::slice::from_ref(stage), rows);
            println!("  {:<14} {:>6.0} {:>6.1}", stage.0, alone(1)?, alone(256)?);
        }
    }
    if wanted("documents") {
        let documents = paths::documents(&runtime, 256)?;
        println!(
            "JSON -> quality, fraud, route (8 read, 1 written) -> JSON: {documents:.0} = {:.2} M/s",
            1e3 / documents
        );
    }
    if only.as_deref() == Some("safety") {
        safety::run()?;
    }
    if wanted("rows") {
        let rows = paths::rows(&runtime, 256)?;
        println!("pgoutput -> five stages -> row JSON: {rows:.0} = {:.2} M/s", 1e3 / rows);
    }
    Ok(())
}
