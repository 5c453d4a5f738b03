//! `#[transform]` and `#[policy]`: from a function to a component.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{FnArg, ItemFn, ReturnType, Type};

use crate::attributes::{documentation, kebab};

const RULE: &str = "a rule is `fn rule(row: &mut MyRow, config: &MyConfig) -> Verdict`, \
                    the second parameter may be left out";
const POLICY: &str = "a policy is `fn decide(failure: &Failure, config: &MyConfig) -> Decision`, \
                      the second parameter may be left out";

pub(crate) fn transform(arguments: &TokenStream, function: &ItemFn) -> syn::Result<TokenStream> {
    let (row, config) = parameters(arguments, function, RULE, true)?;
    let rule = &function.sig.ident;
    let call = match &config {
        Some(_) => quote! { |row| #rule(row, &self.config) },
        None => quote! { |row| #rule(row) },
    };
    let config_type = config_type(config.as_ref());
    let holder = holder(function, &config_type);
    let export = export(function, &quote! { export_transform });
    Ok(quote! {
        #function
        #holder
        impl ::wasmgate_sdk::Transform for #rule {
            type Config = #config_type;
            fn open(config: Self::Config) -> ::core::result::Result<Self, ::std::string::String> {
                ::core::result::Result::Ok(Self { config })
            }
            fn bind(
                &mut self,
                _schema: &::wasmgate_sdk::contract::Schema,
            ) -> ::core::result::Result<
                ::core::option::Option<::wasmgate_sdk::contract::Projection>,
                ::std::string::String,
            > {
                let projection = <#row as ::wasmgate_sdk::row::Row>::projection();
                ::core::result::Result::Ok(::core::option::Option::Some(projection))
            }
            fn process(
                &mut self,
                _schema: u64,
                batch: &::wasmgate_sdk::contract::Batch,
            ) -> ::core::result::Result<
                ::wasmgate_sdk::contract::Output,
                ::std::string::String,
            > {
                ::wasmgate_sdk::row::process::<#row>(batch, #call)
            }
        }
        #export
    })
}

pub(crate) fn policy(arguments: &TokenStream, function: &ItemFn) -> syn::Result<TokenStream> {
    let (_, config) = parameters(arguments, function, POLICY, false)?;
    let rule = &function.sig.ident;
    let call = match &config {
        Some(_) => quote! { #rule(failure, &self.config) },
        None => quote! { #rule(failure) },
    };
    let config_type = config_type(config.as_ref());
    let holder = holder(function, &config_type);
    let export = export(function, &quote! { export_policy });
    Ok(quote! {
        #function
        #holder
        impl ::wasmgate_sdk::policy::Policy for #rule {
            type Config = #config_type;
            fn open(config: Self::Config) -> ::core::result::Result<Self, ::std::string::String> {
                ::core::result::Result::Ok(Self { config })
            }
            fn decide(
                &mut self,
                failure: &::wasmgate_sdk::policy::Failure,
            ) -> ::wasmgate_sdk::policy::Decision {
                #call
            }
        }
        #export
    })
}

/// The types behind the references of the first and the second parameter.
fn parameters(
    arguments: &TokenStream,
    function: &ItemFn,
    expected: &str,
    mutable: bool,
) -> syn::Result<(Type, Option<Type>)> {
    if !arguments.is_empty() {
        return Err(syn::Error::new(arguments.span(), "this attribute takes no arguments"));
    }
    let signature = &function.sig;
    if let Some(word) = &signature.asyncness {
        let message = "a rule is not async: there is nothing in a module to wait for";
        return Err(syn::Error::new_spanned(word, message));
    }
    if signature.generics.params.iter().any(|p| !matches!(p, syn::GenericParam::Lifetime(_))) {
        let message = "a rule has no type parameters: the gateway calls it with one row type";
        return Err(syn::Error::new_spanned(&signature.generics, message));
    }
    if let ReturnType::Default = signature.output {
        return Err(syn::Error::new_spanned(signature, expected));
    }
    let mut types = Vec::new();
    for input in &function.sig.inputs {
        let FnArg::Typed(parameter) = input else {
            return Err(syn::Error::new_spanned(input, expected));
        };
        let Type::Reference(reference) = &*parameter.ty else {
            return Err(syn::Error::new_spanned(&parameter.ty, expected));
        };
        if reference.mutability.is_some() != (mutable && types.is_empty()) {
            return Err(syn::Error::new_spanned(&parameter.ty, expected));
        }
        types.push((*reference.elem).clone());
    }
    let mut types = types.into_iter();
    match (types.next(), types.next(), types.next()) {
        (Some(first), config, None) => Ok((first, config)),
        _ => Err(syn::Error::new_spanned(&function.sig, expected)),
    }
}

fn config_type(config: Option<&Type>) -> TokenStream {
    match config {
        Some(config) => quote_spanned! { config.span() => #config },
        None => quote! { ::wasmgate_sdk::config::NoConfig },
    }
}

/// The type that stands for the rule: it lives beside the function, under the same name.
fn holder(function: &ItemFn, config: &TokenStream) -> TokenStream {
    let (rule, visibility) = (&function.sig.ident, &function.vis);
    let summary = documentation(&function.attrs);
    quote! {
        #[doc = #summary]
        #[allow(non_camel_case_types, dead_code, reason = "named like the rule, used by the host")]
        #visibility struct #rule {
            config: #config,
        }
    }
}

fn export(function: &ItemFn, with: &TokenStream) -> TokenStream {
    let rule = &function.sig.ident;
    let name = kebab(&rule.to_string());
    let summary = documentation(&function.attrs);
    quote! { ::wasmgate_sdk::#with!(#rule, name = #name, summary = #summary); }
}
