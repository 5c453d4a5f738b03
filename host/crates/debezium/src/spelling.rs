//! Words for people: alternatives, and the name that was probably meant.

/// "`a`, `b` or `c`".
pub(crate) fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// The name that differs from `found` in at most about a fifth of its letters, at least one: the
/// names are long, and many share most of their words.
pub(crate) fn closest<'w>(found: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let (far, best) = words.map(|word| (distance(found, word), word)).min()?;
    (far <= best.len() / 6 + 1).then_some(best)
}

/// Edit distance (insert, delete, replace).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (slot, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(*slot + 1);
            diagonal = *slot;
            *slot = here;
            left = here;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn a_typing_error_is_recognised_and_another_name_is_not() {
        let known = ["table.include.list", "slot.name", "database.hostname"];
        for (found, want) in [
            ("table.includes.list", Some("table.include.list")),
            ("table.inlcude.list", Some("table.include.list")),
            ("slotname", Some("slot.name")),
            ("database.host", None),
            ("team", None),
        ] {
            assert_eq!(closest(found, known.into_iter()), want, "{found}");
        }
    }
}
