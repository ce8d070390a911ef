//! `#[derive(Setting)]`: generates how a settings type is described, read and validated.
//!
//! A struct with named fields is a section; the type of each field is a setting or a section itself. An enum of words is
//! one setting. Attributes, all of the form `#[setting(...)]`:
//! * on a struct or a field, `default` or `default = "function"`: its default;
//! * on a field, `alias = "NATS_URL"`: another variable that sets it, can be repeated; `skip`: it isn't a setting;
//!   `flatten`: the settings of its type belong to this section, without a name in between;
//! * on a field or a variant, `rename = "..."`; on an enum, `rename_all = "lowercase"`;
//! * on a struct, `kind = "a currency"`: it is one setting, read by `FromStr` and shown by `Display`.
//!
//! A section is validated by its `Validate`, which every section implements, after the sections inside.

mod attributes;
mod section;
mod words;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, Fields, parse_macro_input};

/// Implements `flotilla_config::Setting` for a section, `flotilla_config::SettingValue` for the type of one setting.
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
            _ => Err(syn::Error::new_spanned(
                &input.ident,
                "a section needs named fields, a single setting the attribute `kind`",
            )),
        },
        Data::Enum(data) => words::derive(input, &attributes, data),
        Data::Union(_) => Err(syn::Error::new_spanned(&input.ident, "a union can't be a setting")),
    }
}
