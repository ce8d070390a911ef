//! Reads attributes: doc comments and the derive's own.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, Path, Token};

/// Where a field's default comes from.
pub(crate) enum Fallback {
    /// The type's `Default`.
    Type,
    /// A function.
    Function(Path),
}

/// The attributes of a type, a field or a variant.
#[derive(Default)]
pub(crate) struct Attributes {
    /// The doc comment, its lines joined.
    pub doc: String,
    pub fallback: Option<Fallback>,
    pub rename: Option<String>,
    /// The field isn't a setting; its value is always its type's `Default`.
    pub skip: bool,
    /// Its settings belong to the section that it is a field of.
    pub flatten: bool,
    pub rename_all: Option<String>,
    pub aliases: Vec<String>,
    pub kind: Option<String>,
}

pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Attributes> {
    let mut read = Attributes::default();
    let mut lines = Vec::new();
    for attribute in attributes {
        if attribute.path().is_ident("doc") {
            lines.extend(doc_line(&attribute.meta));
        } else if attribute.path().is_ident("setting") {
            attribute.parse_nested_meta(|meta| own(&meta, &mut read))?;
        }
    }
    read.doc = lines.join(" ").trim().to_owned();
    Ok(read)
}

fn doc_line(meta: &Meta) -> Option<String> {
    match meta {
        Meta::NameValue(pair) => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    }
}

fn own(meta: &ParseNestedMeta<'_>, read: &mut Attributes) -> syn::Result<()> {
    if meta.path.is_ident("default") {
        read.fallback = Some(match meta.input.peek(Token![=]) {
            true => Fallback::Function(meta.value()?.parse::<LitStr>()?.parse()?),
            false => Fallback::Type,
        });
    } else if meta.path.is_ident("skip") {
        read.skip = true;
    } else if meta.path.is_ident("flatten") {
        read.flatten = true;
    } else if meta.path.is_ident("rename") {
        read.rename = Some(text(meta)?);
    } else if meta.path.is_ident("rename_all") {
        read.rename_all = Some(text(meta)?);
    } else if meta.path.is_ident("alias") {
        read.aliases.push(text(meta)?);
    } else if meta.path.is_ident("kind") {
        read.kind = Some(text(meta)?);
    } else {
        return Err(meta.error("unknown attribute; use one of default, skip, flatten, rename, rename_all, alias, kind"));
    }
    Ok(())
}

fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<String> {
    Ok(meta.value()?.parse::<LitStr>()?.value())
}
