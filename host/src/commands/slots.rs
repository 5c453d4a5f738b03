//! `wasmgate slots list` and `drop`: the replication slots of the Postgres pipelines, on their
//! servers. Works while the gateway runs and while it does not.

use std::path::Path;

use wasmgate_postgres::{PostgresSource, SlotState};

use crate::config::{self, checked, reference::Process};
use crate::exit::{Failure, print};

/// Shows the slot of every Postgres pipeline.
///
/// # Errors
/// The configuration is wrong, or a server cannot be asked.
pub(crate) fn list(file: &Path) -> Result<(), Failure> {
    let config = config::load_settings(file, &Process).map_err(Failure::Config)?;
    let mut lines = Vec::new();
    for (name, source) in sources(&config) {
        let state = wait(source.slot())??;
        lines.push(format!("{name}: {}", state.map_or_else(|| "no slot".into(), describe)));
    }
    print(&if lines.is_empty() { "no Postgres pipeline".into() } else { lines.join("\n") })
}

/// Drops a pipeline's slot, whoever reads it, and with `publication` that too.
///
/// # Errors
/// As for [`list`]; also when there is no such pipeline, or the server refuses.
pub(crate) fn drop(file: &Path, pipeline: &str, publication: bool) -> Result<(), Failure> {
    let config = config::load_settings(file, &Process).map_err(Failure::Config)?;
    let Some((_, source)) = sources(&config).find(|(name, _)| *name == pipeline) else {
        let names: Vec<&str> = sources(&config).map(|(name, _)| name).collect();
        let known = names.join(", ");
        let message = format!("no Postgres pipeline is called {pipeline}; there are: {known}");
        return Err(Failure::Runtime(message));
    };
    let dropped = wait(source.drop_slot(publication))??;
    print(&match dropped.as_slice() {
        [] => format!("{pipeline}: there was nothing to drop"),
        dropped => format!("{pipeline}: dropped {}", dropped.join(" and ")),
    })
}

fn sources(config: &checked::Config) -> impl Iterator<Item = (&str, PostgresSource)> {
    config.pipelines.iter().filter_map(|pipeline| match &pipeline.source {
        checked::Source::Postgres(settings) => {
            Some((pipeline.name.as_str(), PostgresSource::new((**settings).clone())))
        }
        _ => None,
    })
}

fn wait<T>(asking: impl Future<Output = T>) -> Result<T, Failure> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tokio = tokio.map_err(|error| Failure::Runtime(format!("cannot start: {error}")))?;
    Ok(tokio.block_on(asking))
}

fn describe(state: SlotState) -> String {
    let SlotState { name, reader, confirmed, retained_bytes, safe_bytes, health } = state;
    let reader = reader.map_or_else(|| "nobody reads it".into(), |pid| format!("read by {pid}"));
    let confirmed = confirmed.unwrap_or_else(|| "-".into());
    let safe = safe_bytes.map_or_else(String::new, |bytes| format!(", {bytes} more are safe"));
    format!(
        "slot {name}, {health}, {reader}, settled {confirmed}, keeps {retained_bytes} bytes{safe}"
    )
}
