//! A struct with named fields: a section.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Field, FieldsNamed};

use crate::attributes::{self, Attributes, Fallback};

pub(crate) fn section(input: &DeriveInput, attributes: &Attributes, fields: &FieldsNamed) -> syn::Result<TokenStream> {
    let (mut described, mut names, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for field in &fields.named {
        let Some(member) = &field.ident else { continue };
        let own = attributes::read(&field.attrs)?;
        let name = own.rename.clone().unwrap_or_else(|| member.to_string().trim_start_matches("r#").to_owned());
        described.push(describe(field, &own, &name));
        names.push(name);
        members.push(member);
    }
    let whole = match &attributes.fallback {
        None => quote!(::core::option::Option::None),
        Some(Fallback::Type) => quote!(::core::option::Option::Some(<Self as ::core::default::Default>::default())),
        Some(Fallback::Function(path)) => quote!(::core::option::Option::Some(#path())),
    };
    let (ident, doc) = (&input.ident, &attributes.doc);
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::flotilla_config::Setting for #ident #arguments #bounds {
            fn describe(
                at: &::flotilla_config::Place,
                default: ::core::option::Option<&Self>,
                out: &mut ::flotilla_config::Reference,
            ) {
                let own: ::core::option::Option<Self> = #whole;
                let default = default.or(own.as_ref());
                out.section(at, #doc);
                #(#described)*
            }

            fn values(&self, name: &str, out: &mut ::std::vec::Vec<::flotilla_config::Shown>) {
                #(::flotilla_config::Setting::values(&self.#members, &::flotilla_config::join(name, #names), out);)*
            }

            fn differ(&self, new: &Self, name: &str, out: &mut ::std::vec::Vec<::flotilla_config::Change>) {
                #(::flotilla_config::Setting::differ(
                    &self.#members,
                    &new.#members,
                    &::flotilla_config::join(name, #names),
                    out,
                );)*
            }

            fn adopt(&self, new: &Self) {
                #(::flotilla_config::Setting::adopt(&self.#members, &new.#members);)*
            }
        }
    })
}

fn describe(field: &Field, own: &Attributes, name: &str) -> TokenStream {
    let (member, kind, doc, aliases) = (&field.ident, &field.ty, &own.doc, &own.aliases);
    let at = quote!(&at.field(#name, #doc, &[#(#aliases),*]));
    let call = quote!(<#kind as ::flotilla_config::Setting>::describe);
    match &own.fallback {
        None => quote!(#call(#at, default.map(|whole| &whole.#member), out);),
        Some(fallback) => {
            let value = match fallback {
                Fallback::Type => quote!(::core::default::Default::default()),
                Fallback::Function(path) => quote!(#path()),
            };
            quote! {{
                let own: #kind = #value;
                #call(#at, ::core::option::Option::Some(default.map_or(&own, |whole| &whole.#member)), out);
            }}
        }
    }
}
