//! Regular expressions as Java writes them, as far as the engines here understand them.

/// Why a pattern cannot be used: the engines here take time linear in the text, and have nothing
/// that looks around or back.
pub(crate) fn lacking(pattern: &str) -> Option<String> {
    let mut letters = pattern.chars().peekable();
    let mut class = 0_u32;
    let mut repeated = false;
    while let Some(letter) = letters.next() {
        let was_repeated = std::mem::take(&mut repeated);
        match letter {
            '\\' => match letters.next() {
                Some(digit @ '1'..='9') => return Some(format!("the back reference `\\{digit}`")),
                Some('k') => return Some("the back reference `\\k`".to_owned()),
                Some('Q') => return Some("the quotation `\\Q`".to_owned()),
                Some('G') => return Some("the anchor `\\G`".to_owned()),
                _ => {}
            },
            '[' => class += 1,
            ']' => class = class.saturating_sub(1),
            '&' if class > 0 && letters.peek() == Some(&'&') => {
                return Some("the intersection `&&`".to_owned());
            }
            _ if class > 0 => {}
            '(' if letters.next_if_eq(&'?').is_some() => {
                let mark = match letters.next() {
                    Some('<') => match letters.peek() {
                        Some('=') => "(?<=",
                        Some('!') => "(?<!",
                        _ => continue,
                    },
                    Some('=') => "(?=",
                    Some('!') => "(?!",
                    Some('>') => return Some("the atomic group `(?>`".to_owned()),
                    _ => continue,
                };
                return Some(format!("the look-around `{mark}`"));
            }
            '+' if was_repeated => return Some("a possessive quantifier".to_owned()),
            '*' | '+' | '?' | '}' => repeated = true,
            _ => {}
        }
    }
    None
}

/// The text that is the only one a pattern is meant for: letters, digits, `_`, `-`, `$` at no
/// end, escaped signs, and the dots that people leave unescaped.
pub(crate) fn literal(pattern: &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next().filter(|c| !c.is_alphanumeric())?),
            '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return None,
            plain => text.push(plain),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{lacking, literal};

    #[test]
    fn what_the_engines_lack_is_found() {
        for (pattern, want) in [
            (r"([^.]+)\.([^.]+)\.([^.]+)", None),
            ("a+?b*?", None),
            (r"(?<name>x)(?:y)(?i)z", None),
            (r"[(?=\]]x", None),
            (r"(?!x)y", Some("`(?!`")),
            (r"(?<=x)y", Some("`(?<=`")),
            (r"(a)\1", Some("back reference")),
            (r"a++", Some("possessive")),
            (r"(?>a)", Some("atomic")),
            (r"\Qa.b\E", Some("quotation")),
            (r"[a-z&&[^b]]", Some("intersection")),
        ] {
            let found = lacking(pattern);
            let as_wanted = match want {
                Some(want) => found.as_ref().is_some_and(|found| found.contains(want)),
                None => found.is_none(),
            };
            assert!(as_wanted, "{pattern}: {found:?}");
        }
    }

    #[test]
    fn names_are_patterns_too() {
        for (pattern, want) in [
            ("public.orders", Some("public.orders")),
            (r"public\.orders", Some("public.orders")),
            (r"s\$x\.t-1_a", Some("s$x.t-1_a")),
            ("public.*", None),
            (r"public\.\w", None),
            ("a|b", None),
        ] {
            assert_eq!(literal(pattern).as_deref(), want, "{pattern}");
        }
    }
}
