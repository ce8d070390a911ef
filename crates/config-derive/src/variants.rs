//! One setting: a choice among words, or anything that is shown by `Display`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput, Fields};

use crate::attributes::{self, Attributes};

/// An enum of words.
pub(crate) fn choice(input: &DeriveInput, attributes: &Attributes, data: &DataEnum) -> syn::Result<TokenStream> {
    let (mut idents, mut words) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(syn::Error::new_spanned(variant, "a choice has only words: variants without content"));
        }
        let own = attributes::read(&variant.attrs)?;
        let case = attributes.rename_all.as_deref();
        words.push(own.rename.unwrap_or_else(|| renamed(&variant.ident.to_string(), case)));
        idents.push(&variant.ident);
    }
    let word = quote!(match self { #(Self::#idents => #words),* });
    let same = quote! {{
        let word = |one: &Self| match one { #(Self::#idents => #words),* };
        word(self) == word(new)
    }};
    Ok(leaf(input, &quote!(::flotilla_config::Kind::choice(&[#(#words),*])), &quote!(#word.to_owned()), &same))
}

/// A type that is shown by `Display`.
pub(crate) fn shown(input: &DeriveInput, kind: &str) -> TokenStream {
    let text = quote!(::std::string::ToString::to_string(self));
    leaf(input, &quote!(::flotilla_config::Kind::of(#kind)), &text, &quote!((self == new)))
}

fn leaf(input: &DeriveInput, kind: &TokenStream, text: &TokenStream, same: &TokenStream) -> TokenStream {
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #generics ::flotilla_config::Setting for #ident #arguments #bounds {
            fn describe(
                at: &::flotilla_config::Place,
                default: ::core::option::Option<&Self>,
                out: &mut ::flotilla_config::Reference,
            ) {
                out.setting(at, #kind, default);
            }

            fn values(&self, name: &str, out: &mut ::std::vec::Vec<::flotilla_config::Shown>) {
                out.push(::flotilla_config::Shown::plain(name, #text));
            }

            fn differ(&self, new: &Self, name: &str, out: &mut ::std::vec::Vec<::flotilla_config::Change>) {
                if !#same {
                    out.push(::flotilla_config::Change::needs_restart(name));
                }
            }

            fn adopt(&self, _: &Self) {}
        }
    }
}

/// As serde's `rename_all` would.
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
