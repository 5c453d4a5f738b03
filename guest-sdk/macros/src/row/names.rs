//! Names that a row may read and write, and the types that reserved ones have: what the gateway
//! would refuse when it binds the module is an error at the author's field.

use syn::{GenericArgument, PathArguments, Type};

use super::Member;

const READ: &str = "$key, $topic, $partition, $offset, $timestamp-us, $header.NAME, $source.NAME, \
                    $transaction.NAME, $envelope.NAME or $key.NAME";
const WRITTEN: &str = "$topic, $key, $partition, $tombstone or $header.NAME";

/// Checks every name.
pub(super) fn check(members: &[Member]) -> syn::Result<()> {
    for (at, member) in members.iter().enumerate() {
        let name = member.name.as_str();
        let wrong = |message: String| Err(syn::Error::new_spanned(&member.ident, message));
        if member.read && !readable(name) {
            return wrong(format!("there is no reserved name {name} to read, only {READ}"));
        }
        if !member.write {
            continue;
        }
        if let Some(own) = name.strip_prefix("before.") {
            return wrong(format!("{name} is the old row, which is read only: write `{own}`"));
        }
        let earlier = members.get(..at).unwrap_or_default();
        if earlier.iter().any(|other| other.write && other.name == name) {
            return wrong(format!("`{name}` is written by another field already"));
        }
        let Some(wanted) = written(name) else {
            return wrong(format!("there is no reserved name {name} to write, only {WRITTEN}"));
        };
        if let Some(found) = storage(&member.ty)
            && !wanted.is_empty()
            && found != wanted
        {
            let wanted = if wanted == "str" { "text (&str or String)" } else { wanted };
            let message = format!("{name} is written as {wanted}, or an Option of it");
            return Err(syn::Error::new_spanned(&member.ty, message));
        }
    }
    Ok(())
}

fn readable(name: &str) -> bool {
    let Some(reserved) = name.strip_prefix('$') else { return true };
    match reserved.split_once('.') {
        None => matches!(reserved, "key" | "topic" | "partition" | "offset" | "timestamp-us"),
        Some((group, rest)) => {
            let groups = ["header", "source", "transaction", "envelope", "key"];
            groups.contains(&group) && !rest.is_empty()
        }
    }
}

/// The storage that a written name has; empty: any. `None`: it cannot be written.
fn written(name: &str) -> Option<&'static str> {
    let Some(reserved) = name.strip_prefix('$') else { return Some("") };
    match reserved {
        "topic" | "key" => Some("str"),
        "partition" => Some("i64"),
        "tombstone" => Some("bool"),
        _ => reserved.strip_prefix("header.").filter(|header| !header.is_empty()).map(|_| "str"),
    }
}

/// `bool`, `i64`, `f64` or `str` behind references and `Option`; `None`: another type, which the
/// traits speak about.
pub(super) fn storage(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Reference(reference) => storage(&reference.elem),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            match &last.arguments {
                PathArguments::AngleBracketed(generic) if last.ident == "Option" => {
                    match generic.args.first()? {
                        GenericArgument::Type(inner) => storage(inner),
                        _ => None,
                    }
                }
                _ => match last.ident.to_string().as_str() {
                    "bool" => Some("bool"),
                    "i64" => Some("i64"),
                    "f64" => Some("f64"),
                    "str" | "String" => Some("str"),
                    _ => None,
                },
            }
        }
        _ => None,
    }
}
