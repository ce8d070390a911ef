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
    said: Attributes,
    /// The variable that holds its default; like the next one, no name of the user's.
    default: Ident,
    /// The variable that holds what was read.
    held: Ident,
}

impl<'a> Member<'a> {
    fn of(field: &'a Field) -> syn::Result<Option<Self>> {
        let Some(ident) = &field.ident else { return Ok(None) };
        let said = attributes::read(&field.attrs)?;
        let bare = ident.to_string().trim_start_matches("r#").to_owned();
        let default = format_ident!("default_{bare}", span = Span::mixed_site());
        let held = format_ident!("held_{bare}", span = Span::mixed_site());
        let name = said.rename.clone().unwrap_or(bare);
        Ok(Some(Self { ident, kind: &field.ty, name, said, default, held }))
    }

    /// The value of its own fallback, if it has one.
    fn fallback(&self) -> Option<TokenStream> {
        self.said.fallback.as_ref().map(value)
    }

    /// Where its settings stand within the section at `whole`.
    fn place(&self, whole: &TokenStream) -> TokenStream {
        let name = &self.name;
        if self.said.flatten { quote!(#whole) } else { quote!(&::flotilla_config::join(#whole, #name)) }
    }

    fn check(&self) -> TokenStream {
        let Self { ident, name, .. } = self;
        match self.said.flatten {
            true => quote!(::flotilla_config::Setting::check(&self.#ident, problems);),
            false => quote! {
                problems.within(#name, |problems| ::flotilla_config::Setting::check(&self.#ident, problems));
            },
        }
    }

    fn describe(&self) -> TokenStream {
        let Self { ident, kind, name, said, .. } = self;
        let (doc, aliases) = (&said.doc, &said.aliases);
        let at = match said.flatten {
            true => quote!(at),
            false => quote!(&at.field(#name, #doc, &[#(#aliases),*])),
        };
        let call = quote!(<#kind as ::flotilla_config::Setting>::describe);
        match self.fallback() {
            None => quote!(#call(#at, default.map(|whole| &whole.#ident), out);),
            Some(value) => quote! {{
                let own: #kind = #value;
                #call(#at, ::core::option::Option::Some(default.map_or(&own, |whole| &whole.#ident)), out);
            }},
        }
    }

    fn read(&self) -> TokenStream {
        let Self { kind, default, held, .. } = self;
        if self.said.skip {
            return quote!(let #held = ::core::option::Option::Some(#default.unwrap_or_default()););
        }
        let default = match self.fallback() {
            None => quote!(#default),
            Some(value) => quote!(#default.or_else(|| ::core::option::Option::Some(#value))),
        };
        let at = self.place(&quote!(at));
        quote!(let #held = <#kind as ::flotilla_config::Setting>::read(#at, #default, from);)
    }
}

fn value(fallback: &Fallback) -> TokenStream {
    match fallback {
        Fallback::Type => quote!(::core::default::Default::default()),
        Fallback::Function(path) => quote!(#path()),
    }
}

pub(crate) fn derive(input: &DeriveInput, said: &Attributes, fields: &FieldsNamed) -> syn::Result<TokenStream> {
    let members: Vec<Member<'_>> =
        fields.named.iter().filter_map(|field| Member::of(field).transpose()).collect::<syn::Result<_>>()?;
    let (read, walk) = (read(said, &members), walk(&members));
    let describe = members.iter().filter(|member| !member.said.skip).map(Member::describe);
    let whole = whole(said);
    let (ident, doc) = (&input.ident, &said.doc);
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
                #(#describe)*
            }

            #read
            #walk
        }
    })
}

/// The default of the whole section, if it has one.
fn whole(said: &Attributes) -> TokenStream {
    match said.fallback.as_ref().map(value) {
        None => quote!(::core::option::Option::None),
        Some(value) => quote!(::core::option::Option::Some(#value)),
    }
}

/// Reads every field, so that all problems are found, before it needs one.
fn read(said: &Attributes, members: &[Member<'_>]) -> TokenStream {
    let whole = whole(said);
    let idents: Vec<&Ident> = members.iter().map(|member| member.ident).collect();
    let defaults: Vec<&Ident> = members.iter().map(|member| &member.default).collect();
    let held: Vec<&Ident> = members.iter().map(|member| &member.held).collect();
    let none = members.iter().map(|_| quote!(::core::option::Option::None));
    let reads = members.iter().map(Member::read);
    quote! {
        fn read(
            at: &str,
            default: ::core::option::Option<Self>,
            from: &mut ::flotilla_config::Reader<'_>,
        ) -> ::core::option::Option<Self> {
            if !from.enters(at) {
                return ::core::option::Option::None;
            }
            let default: ::core::option::Option<Self> = default.or_else(|| #whole);
            let (#(#defaults,)*) = match default {
                ::core::option::Option::Some(Self { #(#idents: #defaults),* }) => {
                    (#(::core::option::Option::Some(#defaults),)*)
                }
                ::core::option::Option::None => (#(#none,)*),
            };
            #(#reads)*
            ::core::option::Option::Some(Self { #(#idents: #held?),* })
        }
    }
}

/// What is done field by field.
fn walk(members: &[Member<'_>]) -> TokenStream {
    let set: Vec<&Member<'_>> = members.iter().filter(|member| !member.said.skip).collect();
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
