//! The JSON Schema that a module gives for its configuration, and whether a configuration fits.
//! The host looks before the module does, so that a module which forgets to look is still never
//! opened with a configuration that it said it does not take.
//!
//! Schemas come from people nobody vouches for, and a general validator can be kept busy for years
//! by a page of text (references that double, patterns that backtrack). So this one knows bounds:
//! of depth, of steps, and of what a pattern may cost. It knows every keyword of draft 2020-12 that
//! decides by itself what fits, and refuses a schema with one that it does not know how to apply,
//! rather than to pass over it. See docs/decisions/config-schema.md.

mod apply;
mod read;
mod value;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

/// A schema that was checked itself.
#[derive(Debug)]
pub(crate) struct ConfigSchema {
    root: Value,
    /// Every pattern in it, by its text.
    patterns: BTreeMap<String, Regex>,
}

impl ConfigSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// A fragment that begins with the place in the schema and says what is wrong there.
    pub(crate) fn read(root: Value) -> Result<Self, String> {
        let patterns = read::patterns(&root)?;
        Ok(Self { root, patterns })
    }

    /// Whether a configuration fits. No text at all stands for an empty object.
    ///
    /// # Errors
    /// A fragment that begins with the dotted field and says what was found and expected.
    pub(crate) fn check(&self, config: &str) -> Result<(), String> {
        let config = match config.trim() {
            "" => Value::Object(Map::new()),
            text => serde_json::from_str(text)
                .map_err(|error| format!("the configuration is not JSON: {error}"))?,
        };
        apply::fits(self, &config)
    }

    /// What `#/a/b` leads to.
    fn at(&self, reference: &str) -> Option<&Value> {
        self.root.pointer(&decoded(reference.strip_prefix('#')?))
    }
}

/// A fragment of an address without its percent signs.
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *byte == b'%');
        let digits = digits.and_then(|two| std::str::from_utf8(two).ok());
        let decoded = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(decoded.unwrap_or(*byte));
        rest = decoded.and_then(|_| behind.get(2..)).unwrap_or(behind);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
