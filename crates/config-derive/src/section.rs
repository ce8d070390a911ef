//! A struct with named fields: a section.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{DeriveInput, Field, FieldsNamed, Ident, Type};

use crate::attributes::{self, Attributes, Fallback};

/// A field that is a setting or a section.
struct Member<'a> {
    ident: &'a Ident,
    kind: &'a Type,
    name: String,
    attributes: Attributes,
    /// The variable for its default. Hygienic, like the next one, so that it can't clash with the user's names.
    default: Ident,
    /// The variable for the value read.
    value: Ident,
}

impl<'a> Member<'a> {
    fn of(field: &'a Field) -> syn::Result<Option<Self>> {
        let Some(ident) = &field.ident else { return Ok(None) };
        let attributes = attributes::read(&field.attrs)?;
        let bare = ident.to_string().trim_start_matches("r#").to_owned();
        let default = format_ident!("default_{bare}", span = Span::mixed_site());
        let value = format_ident!("value_{bare}", span = Span::mixed_site());
        let name = attributes.rename.clone().unwrap_or(bare);
        Ok(Some(Self { ident, kind: &field.ty, name, attributes, default, value }))
    }

    /// The value of its own fallback, if it has one.
    fn fallback(&self) -> Option<TokenStream> {
        self.attributes.fallback.as_ref().map(fallback_value)
    }

    /// The name of its settings within the section named `section`.
    fn place(&self, section: &TokenStream) -> TokenStream {
        let name = &self.name;
        if self.attributes.flatten { quote!(#section) } else { quote!(&::flotilla_config::join(#section, #name)) }
    }

    fn check(&self) -> TokenStream {
        let Self { ident, name, .. } = self;
        match self.attributes.flatten {
            true => quote!(::flotilla_config::Setting::check(&self.#ident, problems);),
            false => quote! {
                problems.within(#name, |problems| ::flotilla_config::Setting::check(&self.#ident, problems));
            },
        }
    }

    fn describe(&self) -> TokenStream {
        let Self { ident, kind, name, attributes, .. } = self;
        let (doc, aliases) = (&attributes.doc, &attributes.aliases);
        let at = match attributes.flatten {
            true => quote!(at),
            false => quote!(&at.field(#name, #doc, &[#(#aliases),*])),
        };
        let call = quote!(<#kind as ::flotilla_config::Setting>::describe);
        match self.fallback() {
            None => quote!(#call(#at, default.map(|section| &section.#ident), out);),
            Some(value) => quote! {{
                let own: #kind = #value;
                #call(#at, ::core::option::Option::Some(default.map_or(&own, |section| &section.#ident)), out);
            }},
        }
    }

    fn read(&self) -> TokenStream {
        let Self { kind, default, value, .. } = self;
        if self.attributes.skip {
            return quote!(let #value = ::core::option::Option::Some(#default.unwrap_or_default()););
        }
        let default = match self.fallback() {
            None => quote!(#default),
            Some(fallback) => quote!(#default.or_else(|| ::core::option::Option::Some(#fallback))),
        };
        let at = self.place(&quote!(at));
        quote!(let #value = <#kind as ::flotilla_config::Setting>::read(#at, #default, from);)
    }
}

fn fallback_value(fallback: &Fallback) -> TokenStream {
    match fallback {
        Fallback::Type => quote!(::core::default::Default::default()),
        Fallback::Function(path) => quote!(#path()),
    }
}

pub(crate) fn derive(input: &DeriveInput, attributes: &Attributes, fields: &FieldsNamed) -> syn::Result<TokenStream> {
    let members: Vec<Member<'_>> =
        fields.named.iter().filter_map(|field| Member::of(field).transpose()).collect::<syn::Result<_>>()?;
    let (read, other_methods) = (read(attributes, &members), other_methods(&members));
    let describe = members.iter().filter(|member| !member.attributes.skip).map(Member::describe);
    let section_default = section_default(attributes);
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
                let own: ::core::option::Option<Self> = #section_default;
                let default = default.or(own.as_ref());
                out.section(at, #doc);
                #(#describe)*
            }

            #read
            #other_methods
        }
    })
}

/// The default of the section, if it has one.
fn section_default(attributes: &Attributes) -> TokenStream {
    match attributes.fallback.as_ref().map(fallback_value) {
        None => quote!(::core::option::Option::None),
        Some(value) => quote!(::core::option::Option::Some(#value)),
    }
}

/// `Setting::read`. It reads every field before it gives up on an invalid one, so that all problems are reported.
fn read(attributes: &Attributes, members: &[Member<'_>]) -> TokenStream {
    let section_default = section_default(attributes);
    let idents: Vec<&Ident> = members.iter().map(|member| member.ident).collect();
    let defaults: Vec<&Ident> = members.iter().map(|member| &member.default).collect();
    let values: Vec<&Ident> = members.iter().map(|member| &member.value).collect();
    let none = members.iter().map(|_| quote!(::core::option::Option::None));
    let reads = members.iter().map(Member::read);
    quote! {
        fn read(
            at: &str,
            default: ::core::option::Option<Self>,
            from: &mut ::flotilla_config::Reader<'_>,
        ) -> ::core::option::Option<Self> {
            if !from.check_section(at) {
                return ::core::option::Option::None;
            }
            let default: ::core::option::Option<Self> = default.or_else(|| #section_default);
            let (#(#defaults,)*) = match default {
                ::core::option::Option::Some(Self { #(#idents: #defaults),* }) => {
                    (#(::core::option::Option::Some(#defaults),)*)
                }
                ::core::option::Option::None => (#(#none,)*),
            };
            #(#reads)*
            ::core::option::Option::Some(Self { #(#idents: #values?),* })
        }
    }
}

/// The methods of `Setting` that call themselves for each field.
fn other_methods(members: &[Member<'_>]) -> TokenStream {
    let set: Vec<&Member<'_>> = members.iter().filter(|member| !member.attributes.skip).collect();
    let idents: Vec<&Ident> = set.iter().map(|member| member.ident).collect();
    let checks = set.iter().map(|member| member.check());
    let places: Vec<TokenStream> = set.iter().map(|member| member.place(&quote!(name))).collect();
    quote! {
        fn check(&self, problems: &mut ::flotilla_config::Problems) {
            #(#checks)*
            ::flotilla_config::Validate::validate(self, problems);
        }

        fn values(&self, name: &str, out: &mut ::std::vec::Vec<::flotilla_config::Shown>) {
            #(::flotilla_config::Setting::values(&self.#idents, #places, out);)*
        }

        fn differ(&self, new: &Self, name: &str, out: &mut ::std::vec::Vec<::flotilla_config::Change>) {
            #(::flotilla_config::Setting::differ(&self.#idents, &new.#idents, #places, out);)*
        }

        fn adopt(&self, new: &Self) {
            #(::flotilla_config::Setting::adopt(&self.#idents, &new.#idents);)*
        }
    }
}
