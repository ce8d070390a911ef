//! `#[derive(Setting)]`: how a settings type is described, read and checked.
//!
//! A struct with named fields is a section: each field's type is a setting or a section and says so itself. An enum of
//! words is one setting. Attributes, all of them `#[setting(...)]`:
//! * on a struct or a field, `default` or `default = "function"`: what holds where nothing is set;
//! * on a field, `alias = "NATS_URL"`: another variable that sets it, may be repeated; `skip`: it isn't a setting;
//!   `flatten`: the settings of its type stand in this section, without a name in between;
//! * on a field or a variant, `rename = "..."`; on an enum, `rename_all = "lowercase"`;
//! * on a struct, `kind = "a currency"`: it is one setting, read by `FromStr` and shown by `Display`.
//!
//! A section is checked by its `Validate`, which every section has, after the sections inside.

mod attributes;
mod section;
mod words;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, Fields, parse_macro_input};

/// Implements `flotilla_config::Setting` for a section, `flotilla_config::SettingValue` for what is one setting.
#[proc_macro_derive(Setting, attributes(setting))]
pub fn derive_setting(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(input: &DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let attributes = attributes::read(&input.attrs)?;
    if let Some(kind) = &attributes.kind {
        return Ok(words::parsed(input, kind));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => section::derive(input, &attributes, fields),
            _ => Err(syn::Error::new_spanned(&input.ident, "a section has named fields; one setting has a `kind`")),
        },
        Data::Enum(data) => words::derive(input, &attributes, data),
        Data::Union(_) => Err(syn::Error::new_spanned(&input.ident, "a union isn't a setting")),
    }
}
