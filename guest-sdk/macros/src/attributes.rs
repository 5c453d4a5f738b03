//! What the derives and the attributes read alike: doc comments and `name = value` lists.

use syn::ext::IdentExt as _;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta};

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
                if options.has(&name) {
                    return Err(meta.error(format!("`{name}` is given twice")));
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
        match &options.name {
            Some(name) if name.value().is_empty() => {
                Err(syn::Error::new_spanned(name, "a name has at least one letter"))
            }
            _ => Ok(options),
        }
    }

    fn has(&self, name: &str) -> bool {
        match name {
            "name" => self.name.is_some(),
            "kind" => self.kind.is_some(),
            _ => self.default.is_some(),
        }
    }
}

/// Whether there is `#[NAME]`, which takes nothing in parentheses.
pub(crate) fn mark(attributes: &[Attribute], name: &str) -> syn::Result<bool> {
    let mut marks = attributes.iter().filter(|found| found.path().is_ident(name));
    let Some(first) = marks.next() else { return Ok(false) };
    if !matches!(first.meta, Meta::Path(_)) {
        let message =
            format!("`#[{name}]` takes nothing; a field's name is `#[row(name = \"...\")]`");
        return Err(syn::Error::new_spanned(first, message));
    }
    match marks.next() {
        Some(second) => Err(syn::Error::new_spanned(second, format!("`#[{name}]` is given twice"))),
        None => Ok(true),
    }
}

/// The name of a field as it is in a record: `r#type` is `type`.
pub(crate) fn plain_name(ident: &Ident) -> String {
    ident.unraw().to_string()
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
