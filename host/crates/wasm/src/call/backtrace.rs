//! Where in a guest a call failed, in a few words. The names are the guest's own, so they are cut
//! and made harmless like everything else that it says.

use rustc_demangle::try_demangle;
use wasmtime::WasmBacktrace;

use crate::host::log::clip;

/// Frames of a backtrace that stand in a message.
const FRAMES_SHOWN: usize = 4;
/// Bytes of one name in it.
const NAME_BYTES_MAX: usize = 96;
/// Bytes of a symbol that is worth reading.
const SYMBOL_BYTES_MAX: usize = 1024;
/// How a panic gets from the rule to the trap: frames that say nothing about the rule.
const MACHINERY: [&str; 9] =
    ["std::", "core::", "alloc::", "<alloc::", "<core::", "rust_", "__rust", "_abort", "abort"];

/// The innermost frames of a trap, ` < ` between callee and caller; empty without a backtrace.
pub(crate) fn text(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let frames = backtrace.frames().iter();
    shown(frames.map(|frame| match frame.func_name() {
        Some(symbol) => name(symbol),
        None => format!("function {}", frame.func_index()),
    }))
}

/// The rule's own frames, or where there are none, what there is.
fn shown(frames: impl Iterator<Item = String> + Clone) -> String {
    let is_rule = |name: &String| !MACHINERY.iter().any(|prefix| name.starts_with(prefix));
    let mut names: Vec<String> = frames.clone().filter(is_rule).take(FRAMES_SHOWN).collect();
    if names.is_empty() {
        names = frames.take(FRAMES_SHOWN).collect();
    }
    if names.is_empty() { String::new() } else { format!(", at {}", names.join(" < ")) }
}

/// A function's name as its author wrote it.
fn name(symbol: &str) -> String {
    match try_demangle(symbol) {
        Ok(path) if symbol.len() <= SYMBOL_BYTES_MAX => {
            // Without the hash at its end.
            clip(&format!("{path:#}"), NAME_BYTES_MAX)
        }
        _ => clip(symbol, NAME_BYTES_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_source_short_and_harmless() {
        let (long, cut) = ("n".repeat(100_000), "n".repeat(NAME_BYTES_MAX));
        for (symbol, shown) in [
            ("_ZN4rule5Fraud7process17h0123456789abcdefE", "rule::Fraud::process"),
            ("_RNvNtCsbmNqQUJIY6D_4rule5fraud5check", "rule::fraud::check"),
            ("process", "process"),
            ("a\u{1b}[2Jb\nc", "a [2Jb c"),
            (&long, &cut),
        ] {
            assert_eq!(name(symbol), shown);
        }
    }

    #[test]
    fn a_few_frames_of_the_rule_are_shown() {
        let text = |names: &[&str]| shown(names.iter().map(|n| (*n).to_owned()));
        for (frames, says) in [
            (&[][..], ""),
            (
                &["__rustc::abort", "core::panicking::panic", "rule::f", "rule::g"][..],
                ", at rule::f < rule::g",
            ),
            (&["core::panicking::panic"][..], ", at core::panicking::panic"),
            (&["a", "b", "c", "d", "e"][..], ", at a < b < c < d"),
        ] {
            assert_eq!(text(frames), says);
        }
    }
}
