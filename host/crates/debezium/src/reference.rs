//! References in values (KIP-297): `${env:NAME}`, `${file:PATH:KEY}` of a properties file,
//! `${dir:PATH:FILE}` of a directory with a file per key; and `${file:PATH}` for a whole file, as
//! in the configuration. What a reference brings in is a value, and is never shown.

use std::io;

use crate::properties_file;
use crate::spelling::alternatives;

/// Where references lead.
pub trait Provider {
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// Content of a file.
    ///
    /// # Errors
    /// It cannot be read.
    fn file(&self, path: &str) -> io::Result<String>;
}

/// Names under which workers' configuration providers are mostly known.
const PROVIDERS: &[&str] = &["env", "file", "dir", "directory"];

/// Resolves the references in a value; `None` where there are none. `${word}` without a colon is
/// no reference: transforms have such of their own.
///
/// # Errors
/// A reference leads nowhere, or names a provider that is not known; with what to do.
pub fn resolve(text: &str, from: &dyn Provider) -> Result<Option<String>, (String, String)> {
    let mut out = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let reference = after.split_once('}').filter(|(inside, _)| inside.contains(':'));
        match reference {
            Some((inside, tail)) => {
                found = true;
                out.push_str(&look_up(inside, from)?);
                rest = tail;
            }
            None => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(found.then_some(out))
}

fn look_up(inside: &str, from: &dyn Provider) -> Result<String, (String, String)> {
    let (provider, rest) = inside.split_once(':').unwrap_or((inside, ""));
    match (provider, rest.rsplit_once(':')) {
        ("env", _) => from.variable(rest).ok_or_else(|| {
            let message = format!("the environment variable `{rest}` is not set");
            (message, format!("set {rest} in the environment of wasmgate"))
        }),
        ("file", Some((path, key))) => {
            properties_file::value(&read(path, from)?, key).ok_or_else(|| {
                let message = format!("the file `{path}` has no key `{key}`");
                (message, format!("add a line `{key}=…` to it, as a properties file has them"))
            })
        }
        ("file", None) => read(rest, from).map(without_end),
        ("dir" | "directory", Some((path, file))) => {
            read(&format!("{path}/{file}"), from).map(without_end)
        }
        ("dir" | "directory", None) => {
            let message = format!("`${{{inside}}}` names no file");
            Err((message, "write ${dir:PATH:FILE}".to_owned()))
        }
        _ => {
            let known = alternatives(PROVIDERS);
            let message = format!("`${{{inside}}}`: the provider `{provider}` is not known");
            let help = format!("expected {known}: put the value into a file or a variable");
            Err((message, help))
        }
    }
}

fn read(path: &str, from: &dyn Provider) -> Result<String, (String, String)> {
    from.file(path).map_err(|error| {
        let help = "create it readable for the user that runs wasmgate, or correct the path";
        (format!("the file `{path}` cannot be read: {error}"), help.to_owned())
    })
}

/// The line's end that an editor puts at the end of a secret's file.
fn without_end(mut content: String) -> String {
    content.truncate(content.trim_end_matches(['\r', '\n']).len());
    content
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io;

    use super::{Provider, resolve};

    struct Fixed(HashMap<&'static str, &'static str>);

    impl Provider for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|v| (*v).to_owned())
        }

        fn file(&self, path: &str) -> io::Result<String> {
            self.variable(path).ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    fn fixed() -> Fixed {
        Fixed(HashMap::from([
            ("PASS", "s3c:ret}"),
            ("/run/db.properties", "# comment\nuser = u\npassword=p=w\n"),
            ("/run/secrets/password", "in a file\n"),
        ]))
    }

    #[test]
    fn references_are_replaced_and_everything_else_stays() {
        for (text, want) in [
            ("plain", None),
            ("${routedByValue}.events", None),
            ("a${b", None),
            ("${env:PASS}", Some("s3c:ret}")),
            ("x${env:PASS}y${env:PASS}", Some("xs3c:ret}ys3c:ret}")),
            ("${file:/run/db.properties:password}", Some("p=w")),
            ("${file:/run/db.properties:user}", Some("u")),
            ("${file:/run/secrets/password}", Some("in a file")),
            ("${dir:/run/secrets:password}", Some("in a file")),
            ("${directory:/run/secrets:password}", Some("in a file")),
            ("${env:PASS} ${x}", Some("s3c:ret} ${x}")),
        ] {
            assert_eq!(resolve(text, &fixed()), Ok(want.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        for (text, want) in [
            ("${env:NOPE}", "`NOPE` is not set"),
            ("${file:/nope:key}", "`/nope` cannot be read"),
            ("${file:/run/db.properties:key}", "has no key `key`"),
            ("${dir:/run/secrets}", "names no file"),
            ("${vault:a:b}", "the provider `vault` is not known"),
        ] {
            let (message, help) = resolve(text, &fixed()).err().unwrap_or_default();
            assert!(message.contains(want) && !help.is_empty(), "{text}: {message}");
        }
    }
}
