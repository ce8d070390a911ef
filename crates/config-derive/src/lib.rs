//! `#[derive(Setting)]`: tells what a settings type consists of.
//!
//! Beside serde's `Deserialize`, whose attributes it reads: `default` (of a struct or a field), `rename` and
//! `rename_all`. Its own attributes:
//! * on a field, `#[setting(alias = "NATS_URL")]`: another variable that sets it, may be repeated;
//! * on a struct or enum, `#[setting(kind = "a currency")]`: it is one setting, shown by `Display` and compared by `==`.

mod attributes;
mod record;
mod variants;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, Fields, parse_macro_input};

/// Implements `flotilla_config::Setting` for a struct of settings, or for an enum that is one setting.
#[proc_macro_derive(Setting, attributes(setting))]
pub fn derive_setting(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(input: &DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let attributes = attributes::read(&input.attrs)?;
    if let Some(kind) = &attributes.kind {
        return Ok(variants::shown(input, kind));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => record::section(input, &attributes, fields),
            _ => Err(syn::Error::new_spanned(&input.ident, "a section has named fields; one setting has a `kind`")),
        },
        Data::Enum(data) => variants::choice(input, &attributes, data),
        Data::Union(_) => Err(syn::Error::new_spanned(&input.ident, "a union isn't a setting")),
    }
}
