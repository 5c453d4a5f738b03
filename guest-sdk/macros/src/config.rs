//! `#[derive(Config)]`: JSON Schema and parser of a struct or an enum of words.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Data, DataEnum, DeriveInput, Expr, ExprLit, Field, Fields, Lit};

use crate::attributes::{Options, documentation, kebab, plain_name};

pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    if !input.generics.params.is_empty() {
        let message = "a configuration has no type or lifetime parameters: use owned types";
        return Err(syn::Error::new_spanned(&input.generics, message));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => of_struct(input, fields.named.iter()),
            _ => Err(syn::Error::new_spanned(
                &input.ident,
                "a configuration is a struct with named fields",
            )),
        },
        Data::Enum(data) => of_enum(input, data),
        Data::Union(_) => Err(syn::Error::new_spanned(
            &input.ident,
            "a configuration is a struct with named fields or an enum of words",
        )),
    }
}

fn of_struct<'f>(
    input: &DeriveInput,
    fields: impl Iterator<Item = &'f Field>,
) -> syn::Result<TokenStream> {
    let ident = &input.ident;
    let description = documentation(&input.attrs);
    let mut names = Vec::new();
    let mut schemas = Vec::new();
    let mut takes = Vec::new();
    let mut shows = Vec::new();
    for field in fields {
        let options = Options::read(&field.attrs, "config", &["name", "default"])?;
        let member = &field.ident;
        let ty = &field.ty;
        let plain = member.as_ref().map(plain_name).unwrap_or_default();
        let name = options.name.as_ref().map_or(plain, syn::LitStr::value);
        if names.contains(&name) {
            let message = format!("there is another field with the name `{name}`");
            return Err(syn::Error::new_spanned(field, message));
        }
        let doc = documentation(&field.attrs);
        let default = default_of(&options, ty);
        schemas.push(quote_spanned! { ty.span() =>
            ::wasmgate_sdk::config::field_schema::<#ty>(#name, #doc, #default)
        });
        takes.push(quote_spanned! { ty.span() => #member: fields.take::<#ty>(#name, #default)? });
        shows.push(quote! {
            members.insert(#name.to_owned(), ::wasmgate_sdk::config::Config::show(&self.#member));
        });
        names.push(name);
    }
    Ok(quote! {
        #[automatically_derived]
        impl ::wasmgate_sdk::config::Config for #ident {
            fn schema() -> ::wasmgate_sdk::json::Value {
                ::wasmgate_sdk::config::object_schema(#description, &[#(#schemas),*])
            }
            fn parse(
                value: &::wasmgate_sdk::json::Value,
                path: &str,
            ) -> ::core::result::Result<Self, ::std::string::String> {
                let fields = ::wasmgate_sdk::config::Fields::open(value, path, &[#(#names),*])?;
                ::core::result::Result::Ok(Self { #(#takes),* })
            }
            fn show(&self) -> ::wasmgate_sdk::json::Value {
                let mut members = ::wasmgate_sdk::json::Map::new();
                #(#shows)*
                ::wasmgate_sdk::json::Value::Object(members)
            }
        }
    })
}

/// An expression of type `Option<T>`. Text literals become what the field is.
fn default_of(options: &Options, ty: &syn::Type) -> TokenStream {
    match &options.default {
        None => quote! { ::core::option::Option::None },
        Some(None) => quote_spanned! { ty.span() =>
            ::core::option::Option::Some(<#ty as ::core::default::Default>::default())
        },
        Some(Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. }))) => {
            quote_spanned! { text.span() =>
                ::core::option::Option::Some(<#ty as ::core::convert::From<&str>>::from(#text))
            }
        }
        Some(Some(value)) => {
            let value = value.to_token_stream();
            quote! { ::core::option::Option::Some(#value) }
        }
    }
}

fn of_enum(input: &DeriveInput, data: &DataEnum) -> syn::Result<TokenStream> {
    let ident = &input.ident;
    let description = documentation(&input.attrs);
    let mut words = Vec::new();
    let mut variants = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            let message = "a configuration enum is a list of words: variants carry no values";
            return Err(syn::Error::new_spanned(&variant.fields, message));
        }
        let options = Options::read(&variant.attrs, "config", &["name"])?;
        let word = options.name.map_or_else(|| kebab(&variant.ident.to_string()), |n| n.value());
        if words.contains(&word) {
            let message = format!("there is another variant with the word `{word}`");
            return Err(syn::Error::new_spanned(variant, message));
        }
        words.push(word);
        variants.push(&variant.ident);
    }
    let Some(last) = variants.pop() else {
        return Err(syn::Error::new_spanned(ident, "a configuration enum needs a variant"));
    };
    let (last_word, earlier) = words.split_last().map(|(l, e)| (l.clone(), e)).unwrap_or_default();
    Ok(quote! {
        #[automatically_derived]
        impl ::wasmgate_sdk::config::Config for #ident {
            fn schema() -> ::wasmgate_sdk::json::Value {
                ::wasmgate_sdk::config::word_schema(#description, &[#(#words),*])
            }
            fn parse(
                value: &::wasmgate_sdk::json::Value,
                path: &str,
            ) -> ::core::result::Result<Self, ::std::string::String> {
                ::core::result::Result::Ok(
                    match ::wasmgate_sdk::config::word(value, path, &[#(#words),*])? {
                        #(#earlier => Self::#variants,)*
                        _ => Self::#last,
                    },
                )
            }
            fn show(&self) -> ::wasmgate_sdk::json::Value {
                let word = match self {
                    #(Self::#variants => #earlier,)*
                    Self::#last => #last_word,
                };
                ::wasmgate_sdk::json::Value::String(word.to_owned())
            }
        }
    })
}
