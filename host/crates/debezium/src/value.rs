//! Values of properties: numbers, flags, lists, as Debezium and Kafka Connect read them. What is
//! wrong names what was found (as it is written, never what a reference stands for) and what is
//! allowed.

use crate::property::Property;
use crate::spelling::alternatives;

/// The message of a value that is not allowed.
pub(crate) fn wrong(property: &Property, allowed: &str) -> String {
    format!("found `{}`, expected {allowed}", property.written)
}

/// True or false, in any case.
pub(crate) fn flag(property: &Property) -> Result<bool, String> {
    match property.value().trim() {
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(wrong(property, "`true` or `false`")),
    }
}

/// A whole number within bounds.
pub(crate) fn whole(property: &Property, least: i64, most: i64) -> Result<i64, String> {
    let number = property.value().trim().parse().ok();
    number.filter(|n| (least..=most).contains(n)).ok_or_else(|| {
        let allowed = match (least, most) {
            (_, i64::MAX) => format!("a whole number from {least}"),
            _ => format!("a whole number from {least} to {most}"),
        };
        wrong(property, &allowed)
    })
}

/// One of few words, in any case; the position of it.
pub(crate) fn word(property: &Property, words: &[&str]) -> Result<usize, String> {
    let found = property.value().trim();
    let position = words.iter().position(|word| word.eq_ignore_ascii_case(found));
    position.ok_or_else(|| wrong(property, &alternatives(words)))
}

/// The entries of a list: parted by commas that no backslash stands before, trimmed, empty ones
/// left out.
pub(crate) fn list(text: &str) -> Vec<String> {
    let mut entries = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ',' => entries.push(String::new()),
            '\\' if letters.peek() == Some(&',') => {
                letters.next();
                push(&mut entries, ',');
            }
            letter => push(&mut entries, letter),
        }
    }
    let trimmed = entries.iter().map(|entry| entry.trim().to_owned());
    trimmed.filter(|entry| !entry.is_empty()).collect()
}

fn push(entries: &mut [String], letter: char) {
    if let Some(last) = entries.last_mut() {
        last.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn lists_are_parted_at_commas() {
        for (text, want) in [
            ("a, b ,,c", vec!["a", "b", "c"]),
            ("", vec![]),
            (r"public\.a,s\.[a\,b]", vec![r"public\.a", r"s\.[a,b]"]),
        ] {
            assert_eq!(list(text), want, "{text}");
        }
    }
}
