//! What pipelines have that are made from connector documents, as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DeadLetters, Sink};
use crate::config::units::Secret;

/// What pipelines have that are made from connector documents. `${connector}` in any text of
/// `sinks` and `dead_letters` stands for the connector's name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Connectors {
    /// Where their records go. Default one sink for all topics, `file: { dir: ./out/${connector}
    /// }`: a connector's slot moves on, so what it gave has to be kept.
    pub(crate) sinks: Option<Vec<Sink>>,
    /// Where their records go that fail. Default `file: { dir: <data_dir>/dead-letters }`.
    pub(crate) dead_letters: Option<DeadLetters>,
    /// Properties that count where a document does not say otherwise, as those of a Kafka Connect
    /// worker: converters with their options, for example. Default none.
    pub(crate) defaults: BTreeMap<String, Secret>,
}
