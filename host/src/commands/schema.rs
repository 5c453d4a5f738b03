//! `wasmgate schema`.

use crate::config;
use crate::exit::{Failure, print};

/// Prints the JSON Schema of the configuration.
///
/// # Errors
/// Standard output is closed.
pub(crate) fn schema() -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&config::schema())
        .map_err(|error| Failure::Runtime(format!("the schema cannot be written: {error}")))?;
    print(&text)
}
