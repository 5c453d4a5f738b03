//! `${env:NAME}` and `${file:PATH}` inside values, resolved after the document was parsed: what
//! they bring in is text and can never become structure. `$${` stands for `${`.

use std::collections::HashMap;

use super::problem::Problem;

/// Where references are looked up.
pub(crate) trait Surroundings {
    fn variable(&self, name: &str) -> Option<String>;

    /// Content of a file.
    fn file(&self, path: &str) -> std::io::Result<String>;
}

/// The process's environment and disk.
pub(crate) struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// Fixed variables and files.
impl Surroundings for HashMap<&str, &str> {
    fn variable(&self, name: &str) -> Option<String> {
        self.get(name).map(|v| (*v).to_owned())
    }

    fn file(&self, path: &str) -> std::io::Result<String> {
        self.variable(path).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// Resolves the references in `text`; `None` where there are none.
///
/// # Errors
/// A variable is not set, a file cannot be read, or a reference is not closed.
pub(crate) fn resolve(text: &str, from: &dyn Surroundings) -> Result<Option<String>, Problem> {
    if !text.contains("${env:") && !text.contains("${file:") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        if before.ends_with('$') {
            out.push('{');
            rest = after;
        } else if after.starts_with("env:") || after.starts_with("file:") {
            let (reference, tail) = after.split_once('}').ok_or_else(|| {
                Problem::new(format!("the reference `${{{after}` is not closed"))
                    .help("write ${env:NAME} or ${file:PATH}")
            })?;
            out.push_str(&look_up(reference, from)?);
            rest = tail;
        } else {
            out.push_str("${");
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(Some(out))
}

fn look_up(reference: &str, from: &dyn Surroundings) -> Result<String, Problem> {
    if let Some(name) = reference.strip_prefix("env:") {
        return from.variable(name).ok_or_else(|| {
            Problem::new(format!("the environment variable `{name}` is not set"))
                .help(format!("set {name} in the environment of wasmgate, or write the value here"))
        });
    }
    let path = reference.strip_prefix("file:").unwrap_or(reference);
    let content = from.file(path).map_err(|error| {
        Problem::new(format!("the file `{path}` cannot be read: {error}"))
            .help("create it readable for the user that runs wasmgate, or correct the path")
    })?;
    Ok(content.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_and_everything_else_stays() {
        let from = HashMap::from([("A", "x"), ("EMPTY", ""), ("/run/key", "s3cret\n")]);
        for (text, want) in [
            ("plain", None),
            ("^a$|${1}", None),
            ("${env:A}", Some("x")),
            ("p${env:A}q${env:A}", Some("pxqx")),
            ("${env:EMPTY}", Some("")),
            ("${file:/run/key}", Some("s3cret")),
            ("${env:A} ${routedByValue}", Some("x ${routedByValue}")),
            ("$${env:A}", Some("${env:A}")),
        ] {
            assert_eq!(resolve(text, &from), Ok(want.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let from = HashMap::new();
        for (text, want) in [
            ("${env:NOPE}", "`NOPE` is not set"),
            ("${file:/nope}", "`/nope` cannot be read"),
            ("${env:NOPE", "is not closed"),
        ] {
            let problem = resolve(text, &from).err().map(|p| p.message).unwrap_or_default();
            assert!(problem.contains(want), "{text}: {problem}");
        }
    }
}
