//! RegexRouter: a pattern that matches a whole topic name, and a replacement in Java's notation.

use regex_lite::Regex;

/// A compiled pattern and its replacement.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    replacement: String,
}

impl Pattern {
    pub(crate) fn new(pattern: &str, replacement: &str) -> Result<Self, String> {
        let regex = Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|error| format!("pattern {pattern:?}: {error}"))?;
        let groups = regex.captures_len() - 1;
        let replacement = translate(replacement, groups)
            .map_err(|why| format!("topic {replacement:?}: {why}"))?;
        Ok(Self { regex, replacement })
    }

    /// The new name of a topic that matches.
    pub(crate) fn rename(&self, topic: &str) -> Option<String> {
        let captures = self.regex.captures(topic)?;
        let mut name = String::new();
        captures.expand(&self.replacement, &mut name);
        Some(name)
    }
}

/// From Java's notation to the regex crate's. Java reads `$12` as group 12 if there is one, else
/// as group 1 and a 2; a backslash makes the next character plain.
fn translate(replacement: &str, groups: usize) -> Result<String, String> {
    let mut translated = String::new();
    let mut letters = replacement.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('$') => translated.push_str("$$"),
                Some(plain) => translated.push(plain),
                None => return Err("a backslash at the end".to_owned()),
            },
            '$' if letters.next_if_eq(&'{').is_some() => {
                let mut name = String::new();
                while let Some(part) = letters.next_if(|part| *part != '}') {
                    name.push(part);
                }
                letters.next().ok_or("a group name that does not end")?;
                translated.push_str(&format!("${{{name}}}"));
            }
            '$' => {
                let digit = |letter: &char| letter.to_digit(10).map(|digit| digit as usize);
                let first = letters.next().as_ref().and_then(digit);
                let mut group = first.ok_or("expected a group number after $")?;
                if group > groups {
                    return Err(format!("the pattern has no group {group}"));
                }
                while let Some(next) = letters.peek().and_then(digit) {
                    if group * 10 + next > groups {
                        break;
                    }
                    group = group * 10 + next;
                    letters.next();
                }
                translated.push_str(&format!("${{{group}}}"));
            }
            plain => translated.push(plain),
        }
    }
    Ok(translated)
}
