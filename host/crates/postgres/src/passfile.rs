//! The password file of libpq (`~/.pgpass`): `host:port:database:user:password` lines, `*` for
//! any, `\` before `:` and `\` in a field. The first line that fits counts.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use secrecy::SecretString;
use wasmgate_model::{Fault, FaultKind};

use crate::transport::Host;

/// The password of a user at a server; `None`: no line fits, or there is no such file.
///
/// # Errors
/// Others than its owner may read the file, or it cannot be read.
pub(crate) fn look_up(
    file: &Path,
    host: &Host<'_>,
    database: &str,
    user: &str,
) -> Result<Option<SecretString>, Fault> {
    let refuse = |what: &str| {
        Fault::new(FaultKind::Config, format!("`connection.passfile` {}: {what}", file.display()))
    };
    let about = match std::fs::metadata(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        about => about.map_err(|e| refuse("cannot be read").because(e))?,
    };
    if !about.is_file() {
        return Err(refuse("is not a plain file"));
    }
    if about.mode() & 0o077 != 0 {
        return Err(refuse("others than its owner may read it; run chmod 600 on it"));
    }
    let text = std::fs::read_to_string(file).map_err(|e| refuse("cannot be read").because(e))?;
    Ok(find(&text, host, database, user).map(SecretString::from))
}

fn find(text: &str, host: &Host<'_>, database: &str, user: &str) -> Option<String> {
    let port = host.port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        let mut field = || {
            let (field, after) = split(rest)?;
            rest = after;
            Some(field)
        };
        let is = |field: &str, value: &str| field == "*" || unescaped(field) == value;
        let at = field()?;
        // Over a socket both its folder and `localhost` are known.
        let here = is(at, host.name) || (host.is_socket() && at == "localhost");
        let fits = here && is(field()?, &port) && is(field()?, database) && is(field()?, user);
        fits.then(|| unescaped(rest))
    })
}

/// A field up to its colon, and what follows.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let colon = text.char_indices().find(|(_, c)| {
        let ends = *c == ':' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let (at, _) = colon?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn unescaped(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits() {
        let file = "# a comment\n\
                    db:5432:shop:app:one\n\
                    db:*:shop:app:two\n\
                    localhost:*:*:app:three\n\
                    *:*:*:we\\:ird:pa\\:ss\\\\wo:rd\n\
                    cut:1:2\n\
                    fe80\\:\\:1:*:*:app:six\n";
        for (host, port, database, user, want) in [
            ("db", 5432, "shop", "app", Some("one")),
            ("db", 5433, "shop", "app", Some("two")),
            ("db", 5433, "other", "app", None),
            ("localhost", 1, "x", "app", Some("three")),
            ("/run/postgresql", 1, "x", "app", Some("three")),
            ("anywhere", 1, "x", "we:ird", Some("pa:ss\\wo:rd")),
            ("fe80::1", 1, "x", "app", Some("six")),
            ("cut", 1, "2", "app", None),
        ] {
            let host = Host { name: host, port };
            assert_eq!(find(file, &host, database, user).as_deref(), want, "{host} {user}");
        }
    }
}
