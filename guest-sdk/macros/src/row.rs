//! `#[derive(Row)]`: the projection, and a view over the columns without allocation per row.

mod names;

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Field, Fields, GenericParam, Ident, LitStr, Type};

use crate::attributes::{Options, mark, plain_name};

/// One field of the author's struct.
struct Member {
    ident: Ident,
    ty: Type,
    name: String,
    kind: Option<TokenStream>,
    read: bool,
    write: bool,
}

pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new_spanned(&input.ident, "a row is a struct with named fields"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(syn::Error::new_spanned(&input.ident, "a row is a struct with named fields"));
    };
    let members = fields.named.iter().map(Member::of).collect::<syn::Result<Vec<_>>>()?;
    names::check(&members)?;
    let ident = &input.ident;
    let (lifetime, implementor) = lifetime_of(input)?;
    let projection = projection(&members);
    let reading = reading(&members, &lifetime);
    let writing = writing(&members);
    Ok(quote! {
        #[automatically_derived]
        #[allow(clippy::unused_unit, reason = "a row may read or write nothing")]
        impl<#lifetime> ::wasmgate_sdk::row::Row<#lifetime> for #ident #implementor {
            #projection
            #reading
            #writing
        }
    })
}

/// The lifetime of the columns, and the struct's own parameters.
fn lifetime_of(input: &DeriveInput) -> syn::Result<(TokenStream, TokenStream)> {
    let parameters: Vec<_> = input.generics.params.iter().collect();
    match parameters.as_slice() {
        [] => Ok((quote! { 'columns }, quote! {})),
        [GenericParam::Lifetime(only)] => {
            let lifetime = &only.lifetime;
            Ok((quote! { #lifetime }, quote! { <#lifetime> }))
        }
        _ => Err(syn::Error::new_spanned(
            &input.generics,
            "a row has at most one parameter, the lifetime of its texts: `struct Payment<'a>`",
        )),
    }
}

impl Member {
    fn of(field: &Field) -> syn::Result<Self> {
        let (write, both) = (mark(&field.attrs, "write")?, mark(&field.attrs, "read_write")?);
        if write && both {
            let message = "`#[read_write]` includes `#[write]`: use one of them";
            return Err(syn::Error::new_spanned(field, message));
        }
        let options = Options::read(&field.attrs, "row", &["name", "kind"])?;
        let Some(ident) = field.ident.clone() else {
            return Err(syn::Error::new_spanned(field, "a row field has a name"));
        };
        let plain = plain_name(&ident);
        let kind = options.kind.as_ref().map(|kind| kind_of(kind, &field.ty)).transpose()?;
        Ok(Self {
            name: options.name.map_or(plain, |name| name.value()),
            kind,
            ty: field.ty.clone(),
            ident,
            read: !write,
            write: write || both,
        })
    }
}

/// Kinds that share a representation with the default kind of a field type.
fn kind_of(name: &LitStr, ty: &Type) -> syn::Result<TokenStream> {
    let (variant, types) = match name.value().as_str() {
        "boolean" => ("Boolean", "bool"),
        "integer" => ("Integer", "i64"),
        "float" => ("Float", "f64"),
        "text" => ("Text", "str"),
        "json" => ("Json", "str"),
        "decimal" => ("Decimal", "str"),
        "uuid" => ("Uuid", "str"),
        "timestamp-us" => ("TimestampUs", "i64"),
        "date-days" => ("DateDays", "i64"),
        "time-us" => ("TimeUs", "i64"),
        _ => {
            let message = "unknown kind, expected boolean, integer, float, text, json, decimal, \
                           uuid, timestamp-us, date-days or time-us";
            return Err(syn::Error::new_spanned(name, message));
        }
    };
    if names::storage(ty).is_some_and(|storage| storage != types) {
        let (kind, types) = (name.value(), if types == "str" { "&'a str" } else { types });
        let message = format!("a field of kind {kind} has the type `{types}`, or an Option of it");
        return Err(syn::Error::new_spanned(ty, message));
    }
    let variant = format_ident!("{variant}");
    Ok(quote! { ::wasmgate_sdk::contract::Kind::#variant })
}

fn projection(members: &[Member]) -> TokenStream {
    let reads = members.iter().filter(|member| member.read).map(|member| {
        let Member { ty, name, .. } = member;
        let field = quote_spanned! { ty.span() => <#ty as ::wasmgate_sdk::row::ReadField<'_>> };
        let kind = member.kind.clone().unwrap_or_else(|| quote! { #field::KIND });
        quote! {
            projection = if #field::OPTIONAL {
                projection.read_optional(#name, #kind)
            } else {
                projection.read(#name, #kind)
            };
        }
    });
    let writes = members.iter().filter(|member| member.write).map(|member| {
        let Member { ty, name, .. } = member;
        let field = quote_spanned! { ty.span() => <#ty as ::wasmgate_sdk::row::WriteField> };
        let kind = member.kind.clone().unwrap_or_else(|| quote! { #field::KIND });
        quote! { projection = projection.write(#name, #kind); }
    });
    quote! {
        fn projection() -> ::wasmgate_sdk::contract::Projection {
            let mut projection = ::wasmgate_sdk::contract::Projection::new();
            #(#reads)*
            #(#writes)*
            projection
        }
    }
}

fn reading(members: &[Member], lifetime: &TokenStream) -> TokenStream {
    let read: Vec<_> = members.iter().filter(|member| member.read).collect();
    let types = read.iter().map(|member| {
        let ty = &member.ty;
        quote_spanned! { ty.span() => <#ty as ::wasmgate_sdk::row::ReadField<#lifetime>>::Cells }
    });
    let opens = read.iter().enumerate().map(|(index, member)| {
        let ty = &member.ty;
        quote_spanned! { ty.span() =>
            <#ty as ::wasmgate_sdk::row::ReadField<#lifetime>>::open(batch.column(#index)?)?
        }
    });
    // Every column steps before one of them can end the row: they stay on the same row.
    let steps = read.iter().enumerate().map(|(index, member)| {
        let (ident, ty, index) = (&member.ident, &member.ty, syn::Index::from(index));
        quote_spanned! { ty.span() =>
            let #ident =
                <#ty as ::wasmgate_sdk::row::ReadField<#lifetime>>::take(&mut reads.#index);
        }
    });
    let checks = read.iter().map(|member| {
        let Member { ident, ty, name, .. } = member;
        let kind = member.kind.clone().unwrap_or_else(|| {
            quote_spanned! { ty.span() =>
                <#ty as ::wasmgate_sdk::row::ReadField<#lifetime>>::KIND
            }
        });
        quote! {
            let ::core::option::Option::Some(#ident) = #ident else {
                return ::core::result::Result::Err(
                    ::wasmgate_sdk::row::NullField { name: #name, kind: #kind },
                );
            };
        }
    });
    let fields = members.iter().map(|member| {
        let ident = &member.ident;
        if member.read {
            quote! { #ident }
        } else {
            quote_spanned! { member.ty.span() => #ident: ::core::default::Default::default() }
        }
    });
    quote! {
        type Reads = (#(#types,)*);
        fn reads(
            batch: &#lifetime ::wasmgate_sdk::contract::Batch,
        ) -> ::core::result::Result<Self::Reads, ::std::string::String> {
            ::core::result::Result::Ok((#(#opens,)*))
        }
        #[inline]
        fn take(
            reads: &mut Self::Reads,
        ) -> ::core::result::Result<Self, ::wasmgate_sdk::row::NullField> {
            #(#steps)*
            #(#checks)*
            ::core::result::Result::Ok(Self { #(#fields,)* })
        }
    }
}

fn writing(members: &[Member]) -> TokenStream {
    let written: Vec<_> = members.iter().filter(|member| member.write).collect();
    let builders: Vec<_> = written
        .iter()
        .map(|member| {
            let ty = &member.ty;
            quote_spanned! { ty.span() => <#ty as ::wasmgate_sdk::row::WriteField>::Builder }
        })
        .collect();
    let places: Vec<_> = (0..written.len()).map(syn::Index::from).collect();
    let puts = written.iter().zip(&places).map(|(member, place)| {
        let Member { ident, ty, name, .. } = member;
        let leave = name.starts_with('$');
        quote_spanned! { ty.span() =>
            <#ty as ::wasmgate_sdk::row::WriteField>::put(&self.#ident, &mut writes.#place, #leave);
        }
    });
    quote! {
        type Writes = (#(#builders,)*);
        fn writes(rows: usize) -> Self::Writes {
            (#(<#builders as ::wasmgate_sdk::column::ColumnBuilder>::with_rows(rows),)*)
        }
        #[inline]
        fn put(&self, writes: &mut Self::Writes) {
            #(#puts)*
        }
        fn skip(writes: &mut Self::Writes) {
            #(::wasmgate_sdk::column::ColumnBuilder::push_absent(&mut writes.#places);)*
        }
        fn finish(
            writes: Self::Writes,
        ) -> ::std::vec::Vec<::wasmgate_sdk::contract::Column> {
            ::std::vec![#(::wasmgate_sdk::column::ColumnBuilder::finish(writes.#places)),*]
        }
    }
}
