//! Java properties files, as `java.util.Properties` reads them: `key=value`, `key: value` or
//! `key value`, comments, lines that go on after a backslash, `\u` and four digits.

/// The value of a key; of several, the last.
pub(crate) fn value(text: &str, key: &str) -> Option<String> {
    let mut found = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = line.to_owned();
        while goes_on(&whole) {
            whole.pop();
            whole.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let (name, value) = parted(&whole);
        if unescaped(name) == key {
            found = Some(unescaped(value));
        }
    }
    found
}

/// An odd number of backslashes at the end.
fn goes_on(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

/// The key ends at the first unescaped space, `=` or `:`; spaces and one sign may stand between.
fn parted(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (c.is_ascii_whitespace() || c == '=' || c == ':');
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at_checked(end.unwrap_or(line.len())).unwrap_or((line, ""));
    let rest = rest.trim_start();
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start())
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(plain) => out.push(plain),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn lines_are_read_as_java_reads_them() {
        let text = "# user=no\n! user=no\nuser=first\n  user : last \npass\\ word\\=x = a\\\\b\\u00e9\n\
                    long = one \\\n   two\\\n three\nbare\nspace value with spaces\n";
        for (key, want) in [
            ("user", Some("last ")),
            ("pass word=x", Some("a\\bé")),
            ("long", Some("one twothree")),
            ("bare", Some("")),
            ("space", Some("value with spaces")),
            ("none", None),
        ] {
            assert_eq!(value(text, key).as_deref(), want, "{key}");
        }
    }
}
