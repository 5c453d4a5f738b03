//! Every misuse of an attribute has a message that says what is allowed.
#![allow(clippy::unwrap_used, reason = "tests")]

use proc_macro2::TokenStream;

type Derive = fn(&str) -> syn::Result<TokenStream>;

fn row(text: &str) -> syn::Result<TokenStream> {
    crate::row::derive(&syn::parse_str(text).unwrap())
}

fn config(text: &str) -> syn::Result<TokenStream> {
    crate::config::derive(&syn::parse_str(text).unwrap())
}

fn transform(text: &str) -> syn::Result<TokenStream> {
    crate::rule::transform(&TokenStream::new(), &syn::parse_str(text).unwrap())
}

fn refused(derive: Derive, cases: &[(&str, &str)]) {
    for (text, part) in cases {
        match derive(text) {
            Ok(_) => panic!("taken: {text}"),
            Err(error) => assert!(error.to_string().contains(part), "{text}: {error}"),
        }
    }
}

#[test]
fn a_row_that_cannot_be_is_refused() {
    refused(
        row,
        &[
            ("enum R { A }", "a row is a struct with named fields"),
            ("union R { a: i64 }", "a row is a struct with named fields"),
            ("struct R(i64);", "a row is a struct with named fields"),
            ("struct R<'a, T> { a: &'a str, b: T }", "at most one parameter"),
            ("struct R { #[write] #[read_write] a: i64 }", "includes `#[write]`"),
            ("struct R { #[write] #[write] a: i64 }", "`#[write]` is given twice"),
            ("struct R { #[write(\"b\")] a: i64 }", "`#[write]` takes nothing"),
            ("struct R { #[read_write = \"b\"] a: i64 }", "`#[read_write]` takes nothing"),
            ("struct R { #[row(nmae = \"b\")] a: i64 }", "unknown option, expected name or kind"),
            ("struct R { #[row(name = \"b\", name = \"c\")] a: i64 }", "`name` is given twice"),
            ("struct R { #[row(name = \"\")] a: i64 }", "at least one letter"),
            ("struct R { #[row(name)] a: i64 }", "expected `=`"),
            ("struct R { #[row(kind = \"int\")] a: i64 }", "unknown kind, expected boolean"),
            ("struct R { #[row(kind = \"uuid\")] a: i64 }", "has the type `&'a str`"),
            ("struct R { #[row(kind = \"date-days\")] a: Option<f64> }", "has the type `i64`"),
            ("struct R { #[row(name = \"$topik\")] a: i64 }", "no reserved name $topik to read"),
            ("struct R { #[row(name = \"$header.\")] a: i64 }", "to read, only $key"),
            ("struct R { #[write] #[row(name = \"$offset\")] a: i64 }", "$offset to write"),
            ("struct R { #[write] #[row(name = \"$topic\")] a: i64 }", "written as text"),
            ("struct R { #[write] #[row(name = \"$tombstone\")] a: i64 }", "written as bool"),
            ("struct R { #[write] #[row(name = \"before.a\")] a: i64 }", "write `a`"),
            ("struct R { #[write] a: i64, #[read_write] #[row(name = \"a\")] b: i64 }", "already"),
        ],
    );
}

#[test]
fn a_row_that_can_be_is_taken() {
    for text in [
        "struct R {}",
        "struct R<'a> { a: bool, b: i64, c: f64, d: &'a str, e: Option<&'a str> }",
        "struct R { #[row(kind = \"timestamp-us\")] at: Option<i64>, #[write] at_: String }",
        "struct R<'a> { #[row(kind = \"json\")] a: &'a str, #[row(name = \"$key.id\")] b: i64 }",
        "struct R { a: i64, #[write] #[row(name = \"a\")] b: i64 }",
        "struct R { #[write] #[row(name = \"$header.x\")] a: Option<String> }",
    ] {
        assert!(row(text).is_ok(), "{text}");
    }
    let raw = row("struct R { r#type: i64 }").unwrap().to_string();
    assert!(raw.contains("\"type\"") && !raw.contains("\"r#type\""), "{raw}");
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    refused(
        config,
        &[
            ("struct C(i64);", "a struct with named fields"),
            ("union C { a: i64 }", "a struct with named fields or an enum of words"),
            ("struct C<T> { a: T }", "no type or lifetime parameters"),
            ("enum C {}", "needs a variant"),
            ("enum C { A(i64) }", "variants carry no values"),
            ("enum C { A, #[config(name = \"a\")] B }", "another variant with the word `a`"),
            ("enum C { #[config(default)] A }", "unknown option, expected name"),
            ("struct C { #[config(defalut = 3)] a: i64 }", "expected name or default"),
            ("struct C { #[config(default, default = 3)] a: i64 }", "`default` is given twice"),
            ("struct C { a: i64, #[config(name = \"a\")] b: i64 }", "another field with the name"),
        ],
    );
}

#[test]
fn a_rule_that_cannot_be_is_refused() {
    let form = "a rule is `fn rule(row: &mut MyRow, config: &MyConfig) -> Verdict`";
    refused(
        transform,
        &[
            ("fn rule() -> Verdict { keep() }", form),
            ("fn rule(row: R) -> Verdict { keep() }", form),
            ("fn rule(row: &R) -> Verdict { keep() }", form),
            ("fn rule(row: &mut R, config: &mut C) -> Verdict { keep() }", form),
            ("fn rule(row: &mut R, a: &A, b: &B) -> Verdict { keep() }", form),
            ("fn rule(&mut self) -> Verdict { keep() }", form),
            ("fn rule(row: &mut R) {}", form),
            ("async fn rule(row: &mut R) -> Verdict { keep() }", "not async"),
            ("fn rule<T>(row: &mut T) -> Verdict { keep() }", "no type parameters"),
        ],
    );
    let arguments = quote::quote! { name = "x" };
    let function = syn::parse_str("fn rule(row: &mut R) -> Verdict { keep() }").unwrap();
    let error = crate::rule::transform(&arguments, &function).unwrap_err();
    assert!(error.to_string().contains("takes no arguments"), "{error}");
    assert!(crate::rule::transform(&TokenStream::new(), &function).is_ok());
}
