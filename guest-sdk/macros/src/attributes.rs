//! What the derives and the attributes read alike: doc comments and `name = value` lists.

use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta};

/// The doc comment, lines joined by a space.
pub(crate) fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Options of the attribute `#[NAME(...)]`.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) kind: Option<LitStr>,
    /// `Some(None)` is a bare `default`.
    pub(crate) default: Option<Option<Expr>>,
}

impl Options {
    /// Reads every `#[attribute(...)]`; an option outside `allowed` is an error at its place.
    pub(crate) fn read(
        attributes: &[Attribute],
        attribute: &str,
        allowed: &[&str],
    ) -> syn::Result<Self> {
        let mut options = Self::default();
        for found in attributes.iter().filter(|found| found.path().is_ident(attribute)) {
            found.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                if !allowed.contains(&name.as_str()) {
                    let message = format!("unknown option, expected {}", allowed.join(" or "));
                    return Err(meta.error(message));
                }
                match name.as_str() {
                    "name" => options.name = Some(meta.value()?.parse()?),
                    "kind" => options.kind = Some(meta.value()?.parse()?),
                    _ if meta.input.peek(syn::Token![=]) => {
                        options.default = Some(Some(meta.value()?.parse()?));
                    }
                    _ => options.default = Some(None),
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}

/// `DeleteToTombstone` and `delete_to_tombstone` become `delete-to-tombstone`.
pub(crate) fn kebab(name: &str) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter == '_' {
            word.push('-');
        } else if letter.is_uppercase() {
            if !word.is_empty() {
                word.push('-');
            }
            word.extend(letter.to_lowercase());
        } else {
            word.push(letter);
        }
    }
    word
}
