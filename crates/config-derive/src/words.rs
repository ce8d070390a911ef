//! Types of one setting: a choice among words, or a type that implements `FromStr` and `Display`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput, Fields};

use crate::attributes::{self, Attributes};

/// An enum of words.
pub(crate) fn derive(input: &DeriveInput, attributes: &Attributes, data: &DataEnum) -> syn::Result<TokenStream> {
    let (mut idents, mut words) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(syn::Error::new_spanned(variant, "the variants of a setting have no fields"));
        }
        let own = attributes::read(&variant.attrs)?;
        let case = attributes.rename_all.as_deref();
        words.push(own.rename.unwrap_or_else(|| renamed(&variant.ident.to_string(), case)));
        idents.push(&variant.ident);
    }
    let kind = quote!(::flotilla_config::Kind::Choice(&[#(#words),*]));
    let read = quote! {
        match given.text()?.trim() {
            #(#words => ::core::result::Result::Ok(Self::#idents),)*
            _ => ::core::result::Result::Err(::flotilla_config::ValueError::Kind),
        }
    };
    let shown = quote!(match self { #(Self::#idents => #words),* }.to_owned());
    Ok(value(input, &kind, &read, &shown))
}

/// A type that implements `FromStr` and `Display`.
pub(crate) fn parsed(input: &DeriveInput, kind: &str) -> TokenStream {
    let read = quote! {
        given.text()?.parse().map_err(|error| {
            let error: <Self as ::core::str::FromStr>::Err = error;
            ::flotilla_config::ValueError::Because(::std::string::ToString::to_string(&error))
        })
    };
    let kind = quote!(::flotilla_config::Kind::Other(#kind));
    value(input, &kind, &read, &quote!(::std::string::ToString::to_string(self)))
}

fn value(input: &DeriveInput, kind: &TokenStream, read: &TokenStream, shown: &TokenStream) -> TokenStream {
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #generics ::flotilla_config::SettingValue for #ident #arguments #bounds {
            fn kind() -> ::flotilla_config::Kind {
                #kind
            }

            fn read(
                given: ::flotilla_config::Given<'_>,
            ) -> ::core::result::Result<Self, ::flotilla_config::ValueError> {
                #read
            }

            fn shown(&self) -> ::std::string::String {
                #shown
            }
        }
    }
}

/// The word of a variant.
fn renamed(variant: &str, case: Option<&str>) -> String {
    let parted = |by: char| {
        let mut parted = String::new();
        for (at, letter) in variant.char_indices() {
            if letter.is_uppercase() && at > 0 {
                parted.push(by);
            }
            parted.extend(letter.to_lowercase());
        }
        parted
    };
    match case {
        Some("lowercase") => variant.to_lowercase(),
        Some("UPPERCASE") => variant.to_uppercase(),
        Some("snake_case") => parted('_'),
        Some("kebab-case") => parted('-'),
        Some("SCREAMING_SNAKE_CASE") => parted('_').to_uppercase(),
        _ => variant.to_owned(),
    }
}
