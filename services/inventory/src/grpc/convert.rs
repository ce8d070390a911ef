//! Conversions between the protos and the domain.

use flotilla_listing::etag;
use flotilla_money::Amount;
use flotilla_proto::google::r#type::Money;
use flotilla_proto::inventory::v1;
use flotilla_rpc::{RpcError, Violations, invalid};
use prost_types::FieldMask;

use crate::domain::product::{Details, Patch, Product, ProductId};

/// Converts a product for clients.
pub fn product(product: Product) -> v1::Product {
    v1::Product {
        name: format!("products/{}", product.id),
        display_name: product.details.display_name,
        description: product.details.description,
        price: Some(product.details.price.into()),
        etag: etag::of(product.version, etag::time(product.updated_at)),
        create_time: Some(product.created_at.into()),
        update_time: Some(product.updated_at.into()),
        version: product.version,
    }
}

/// Parses the id in `products/{product}`.
pub fn product_id(field: &str, name: &str) -> Result<ProductId, RpcError> {
    let id = name.strip_prefix("products/").and_then(ProductId::parse);
    id.ok_or_else(|| invalid(field, "must be products/{product}, the product 1 to 63 of a-z, 0-9, - and _"))
}

/// Parses the product of a create request.
pub fn new_product(id: &str, wanted: v1::Product) -> Result<(ProductId, Details), RpcError> {
    let id = ProductId::parse(id).ok_or_else(|| invalid("product_id", "is not an id"))?;
    let mut violations = Violations::new();
    let price = violations.take(price(wanted.price.as_ref()));
    let patch = Patch { display_name: Some(wanted.display_name), description: Some(wanted.description), price };
    check(&mut violations, &patch);
    violations.finish()?;
    match patch {
        Patch { display_name: Some(display_name), description: Some(description), price: Some(price) } => {
            Ok((id, Details { display_name, description, price }))
        }
        // A missing value was recorded as a violation above.
        _ => Err(RpcError::internal()),
    }
}

/// Parses the changes of an update request: the masked fields, or without a mask those that are set. Output-only fields
/// are ignored.
pub fn patch(wanted: v1::Product, mask: Option<&FieldMask>) -> Result<Patch, RpcError> {
    let mut violations = Violations::new();
    let (mut name, mut description, mut new_price) =
        (!wanted.display_name.is_empty(), !wanted.description.is_empty(), wanted.price.is_some());
    if let Some(mask) = mask.filter(|mask| !mask.paths.is_empty()) {
        (name, description, new_price) = (false, false, false);
        for path in &mask.paths {
            match path.as_str() {
                "*" => (name, description, new_price) = (true, true, true),
                "display_name" => name = true,
                "description" => description = true,
                "price" => new_price = true,
                "name" | "etag" | "create_time" | "update_time" | "version" => {}
                other => {
                    let shown: String = other.chars().take(80).collect();
                    violations.add("update_mask", format!("{shown:?} is not a field that can be changed"));
                }
            }
        }
    }
    let price = if new_price { violations.take(price(wanted.price.as_ref())) } else { None };
    let patch = Patch {
        display_name: name.then_some(wanted.display_name),
        description: description.then_some(wanted.description),
        price,
    };
    check(&mut violations, &patch);
    violations.finish()?;
    Ok(patch)
}

fn check(violations: &mut Violations, patch: &Patch) {
    for (field, fault) in patch.faults() {
        violations.add(format!("product.{field}"), fault);
    }
}

fn price(money: Option<&Money>) -> Result<Amount, RpcError> {
    let money = money.ok_or_else(|| invalid("product.price", "must be set"))?;
    Amount::try_from(money).map_err(|error| invalid("product.price", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> v1::Product {
        v1::Product { display_name: "Tea".into(), description: String::new(), ..v1::Product::default() }
    }

    fn mask(paths: &[&str]) -> FieldMask {
        FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
    }

    #[test]
    fn without_a_mask_what_is_set_is_changed() {
        let patch = patch(wanted(), None).expect("a good patch");
        assert_eq!(patch, Patch { display_name: Some("Tea".into()), ..Patch::default() });
    }

    #[test]
    fn a_mask_can_empty_a_text_but_not_a_name_or_a_price() {
        let emptied = patch(wanted(), Some(&mask(&["description", "etag"]))).expect("a good patch");
        assert_eq!(emptied, Patch { description: Some(String::new()), ..Patch::default() });
        let refused = patch(v1::Product::default(), Some(&mask(&["*"]))).expect_err("nothing is set");
        let fields: Vec<_> = refused.violations().iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["product.price", "product.display_name"]);
    }

    #[test]
    fn an_unknown_path_is_named() {
        let refused = patch(wanted(), Some(&mask(&["colour"]))).expect_err("no such field");
        assert!(refused.message().contains("colour"), "{refused}");
    }
}
