//! The reference part of docs/configuration.md, made from the JSON Schema that `wasmgate schema`
//! prints: a table per mapping, in the order of the schema.

use serde_json::{Map, Value};

/// Tables of every option.
pub(crate) fn reference(schema: &Value) -> String {
    let mut page = Page { schema, text: String::new(), later: Vec::new() };
    page.mapping("", schema);
    while !page.later.is_empty() {
        let (path, mapping) = page.later.remove(0);
        page.mapping(&path, mapping);
    }
    page.text
}

struct Page<'s> {
    schema: &'s Value,
    text: String,
    /// Mappings that are still to be written, with their paths.
    later: Vec<(String, &'s Value)>,
}

impl<'s> Page<'s> {
    fn mapping(&mut self, path: &str, mapping: &'s Value) {
        let title = if path.is_empty() { "Top level".into() } else { format!("`{path}`") };
        self.text.push_str(&format!("\n### {title}\n\n"));
        if let Some(what) = described(mapping).filter(|_| !path.is_empty()) {
            self.text.push_str(&format!("{what}\n\n"));
        }
        let Some(options) = mapping["properties"].as_object().filter(|o| !o.is_empty()) else {
            return;
        };
        let required: Vec<&str> = mapping["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        self.text.push_str("| option | value | meaning |\n|---|---|---|\n");
        let mut nested = Vec::new();
        for (name, option) in options {
            let is_required = required.contains(&name.as_str());
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.row(name, option, is_required);
            nested.extend(self.nested(&path, option));
        }
        // What lies below comes right after what it lies in.
        self.later.splice(0..0, nested);
    }

    fn row(&mut self, name: &str, option: &'s Value, is_required: bool) {
        let mut meaning = described(option).unwrap_or_default();
        if is_required && !meaning.contains("Required") {
            meaning.push_str(" Required.");
        }
        let target = self.target(option);
        for word in target["oneOf"].as_array().into_iter().flatten() {
            if let (Some(value), Some(what)) = (word["const"].as_str(), described(word)) {
                meaning.push_str(&format!(" `{value}`: {what}"));
            }
        }
        let value = self.value(option);
        let meaning = meaning.trim().replace('|', "\\|");
        self.text.push_str(&format!("| `{name}` | {value} | {meaning} |\n"));
    }

    /// What a reference or an optional value leads to.
    fn target(&self, option: &'s Value) -> &'s Value {
        let optional = option["anyOf"].as_array().and_then(|of| of.first()).unwrap_or(option);
        match optional["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
            Some(name) => &self.schema["$defs"][name],
            None => optional,
        }
    }

    /// What may be written, in a word or two.
    fn value(&self, option: &'s Value) -> String {
        let target = self.target(option);
        let words = target["enum"].as_array().map(|w| w.iter().collect::<Vec<_>>());
        let words = words.or_else(|| {
            let one_of = target["oneOf"].as_array()?;
            Some(one_of.iter().map(|w| &w["const"]).collect())
        });
        if let Some(words) = words {
            let words: Vec<String> =
                words.into_iter().filter_map(Value::as_str).map(|w| format!("`{w}`")).collect();
            return words.join(" \\| ");
        }
        let pattern = target["pattern"].as_str().unwrap_or_default();
        let kinds: Vec<&str> = match &target["type"] {
            Value::String(kind) => vec![kind],
            list => list.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
        };
        match kinds.first().copied().unwrap_or("any") {
            _ if pattern.contains("iB") => "size".into(),
            _ if pattern.contains("ms") => "duration".into(),
            "string" if target["format"] == "regex" => "regular expression".into(),
            "string" => "text".into(),
            "boolean" => "true or false".into(),
            "array" => format!("list of {}", plural(&self.value(&target["items"]))),
            "object" if target["properties"].is_object() => "mapping".into(),
            "object" => "mapping by name".into(),
            other => other.into(),
        }
    }

    /// Mappings that an option holds, with their paths.
    fn nested(&self, path: &str, option: &'s Value) -> Vec<(String, &'s Value)> {
        let target = self.target(option);
        let has_options =
            |m: &Value| m["properties"].as_object().is_some_and(|p: &Map<_, _>| !p.is_empty());
        if has_options(target) {
            return vec![(path.to_owned(), target)];
        }
        let (below, suffix) = match target["type"].as_str() {
            Some("array") => (self.target(&target["items"]), "[]"),
            _ => (self.target(&target["additionalProperties"]), ".NAME"),
        };
        if has_options(below) { vec![(format!("{path}{suffix}"), below)] } else { Vec::new() }
    }
}

fn plural(value: &str) -> String {
    match value {
        "text" => "texts".into(),
        "mapping" | "regular expression" => format!("{value}s"),
        other => other.into(),
    }
}

/// A description on one line.
fn described(value: &Value) -> Option<String> {
    Some(value["description"].as_str()?.split_whitespace().collect::<Vec<_>>().join(" "))
}
