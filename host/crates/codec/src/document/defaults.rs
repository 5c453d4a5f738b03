//! Defaults in the schema part of a wrapped value. Every record of a topic carries the same schema
//! part, so it is read once and compared after that.

use std::sync::Arc;

use serde_json::Value;

/// (field, its default as JSON text).
pub type Defaults = Arc<[(Arc<str>, Arc<str>)]>;

/// The defaults of a topic's row image, by the schema part that was seen last.
#[derive(Debug)]
pub struct SchemaDefaults {
    schema: Vec<u8>,
    defaults: Defaults,
}

impl Default for SchemaDefaults {
    fn default() -> Self {
        Self { schema: Vec::new(), defaults: Arc::from([]) }
    }
}

impl SchemaDefaults {
    /// Defaults of the optional fields of `after`, by this schema part (JSON; empty: none).
    pub fn of(&mut self, schema: &[u8]) -> &Defaults {
        if self.schema != schema {
            schema.clone_into(&mut self.schema);
            let parsed = serde_json::from_slice(schema).ok();
            self.defaults = parsed.as_ref().and_then(read).unwrap_or_default().into();
        }
        &self.defaults
    }
}

fn read(schema: &Value) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    let image = schema
        .get("fields")?
        .as_array()?
        .iter()
        .find(|f| f.get("field") == Some(&"after".into()))?;
    let default = |field: &Value| {
        let optional = field.get("optional")?.as_bool()?;
        let default = field.get("default").filter(|d| optional && !d.is_null())?;
        Some((field.get("field")?.as_str()?.into(), default.to_string().into()))
    };
    Some(image.get("fields")?.as_array()?.iter().filter_map(default).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_of_the_image_with_a_default() {
        let schema = br#"{"type":"struct","fields":[{"field":"before","fields":[]},{"field":"after",
            "fields":[{"field":"id","optional":false,"default":0},{"field":"i","optional":true,"default":42},
            {"field":"n","optional":true,"default":"x"},{"field":"p","optional":true}]}],"name":"t.Envelope"}"#;
        let mut defaults = SchemaDefaults::default();
        let seen: Vec<_> =
            defaults.of(schema).iter().map(|(n, d)| (n.to_string(), d.to_string())).collect();
        assert_eq!(seen, [("i".into(), "42".into()), ("n".into(), "\"x\"".into())]);
        assert!(defaults.of(b"").is_empty() && defaults.of(b"{").is_empty());
    }
}
