//! The whole grammar: what is parsed and rendered, and what is refused.

mod random;

use uuid::Uuid;

use super::*;
use crate::page::PageTokens;
use flotilla_rpc::RpcError;

static PRODUCTS: Schema = Schema {
    key: Field::name("name", "id", "products").sortable(),
    fields: &[
        Field::text("display_name", "display_name").sortable(),
        Field::money("price", "price_minor", "currency").sortable(),
        Field::choice("state", "state", "PRODUCT_STATE_", &[("LIVE", "live"), ("GONE", "gone")]),
        Field::integer("version", "version"),
        Field::timestamp("create_time", "created_at").sortable(),
        Field::uuid_name("order", "order_id", "orders"),
        Field::text("secret", "secret").internal(),
    ],
    order: "create_time desc",
};
const SELECT: Select = Select { columns: "id", from: "products", given: "deleted_at IS NULL" };

fn tokens() -> PageTokens {
    PageTokens::new(b"key")
}

fn statement(filter: &str, order_by: &str) -> Statement {
    let page = PRODUCTS.parse(filter, order_by).and_then(|listing| listing.page(&tokens(), &["List"], "", 10));
    page.unwrap().statement(&SELECT, &[])
}

/// The rendered condition and its parameters, the limit left out.
fn rendered(filter: &str) -> (String, Vec<String>) {
    let Statement { text, mut values } = statement(filter, "name");
    values.pop();
    let from = text.find("NULL) AND ").unwrap() + "NULL) AND ".len();
    (text[from..text.find(" ORDER BY").unwrap()].to_owned(), values)
}

fn refused(parsed: Result<impl std::fmt::Debug, RpcError>) -> (String, String) {
    parsed.expect_err("it is refused").violations()[0].clone()
}

fn filter_error(filter: &str) -> String {
    let (field, error) = refused(PRODUCTS.parse(filter, ""));
    assert_eq!(field, "filter");
    error
}

#[test]
fn a_filter_becomes_columns_and_parameters() {
    let (sql, values) = rendered(r#"display_name:"lamp" AND state != PRODUCT_STATE_GONE"#);
    assert_eq!(sql, "((strpos(lower(display_name), lower($1)) > 0 AND state IS DISTINCT FROM $2))");
    assert_eq!(values, ["lamp", "gone"]);
    let (sql, values) = rendered("create_time>=2026-01-01T00:00:00Z");
    assert_eq!(sql, "(created_at >= $1::timestamptz)");
    assert_eq!(values, ["2026-01-01T00:00:00Z"]);
    let (sql, values) = rendered("name = products/tea OR order = 'orders/00000000-0000-0000-0000-000000000007'");
    assert_eq!(sql, "((id = $1 OR order_id = $2::uuid))");
    assert_eq!(values, ["tea".to_owned(), Uuid::from_u128(7).to_string()]);
    let (sql, values) = rendered("-version<-3 AND NOT order:*");
    assert_eq!(sql, "((((version < $1::bigint) IS NOT TRUE) AND ((order_id IS NOT NULL) IS NOT TRUE)))");
    assert_eq!(values, ["-3"]);
}

#[test]
fn money_is_scaled_by_the_currency_of_its_row() {
    let (sql, values) = rendered("price < 20.00");
    assert!(sql.starts_with("((price_minor::numeric * CASE currency WHEN 'BHD' THEN 1 WHEN"), "{sql}");
    assert!(sql.contains(" WHEN 'JPY' THEN 1000") && sql.ends_with(" ELSE 10 END) < $1::numeric)"), "{sql}");
    assert_eq!(values, ["20000"]);
}

#[test]
fn or_binds_closer_than_and() {
    let (sql, _) = rendered("version = 1 AND version = 2 OR version = 3");
    assert_eq!(sql, "((version = $1::bigint AND (version = $2::bigint OR version = $3::bigint)))");
    let (sql, _) = rendered("(version = 1 AND version = 2) OR version = 3");
    assert_eq!(sql, "(((version = $1::bigint AND version = $2::bigint) OR version = $3::bigint))");
}

#[test]
fn quoted_text_is_always_a_value() {
    let (sql, values) = rendered(r#"display_name = "it's \"x\" \\ -- ; DROP TABLE products""#);
    assert_eq!(sql, "(display_name = $1)");
    assert_eq!(values, [r#"it's "x" \ -- ; DROP TABLE products"#]);
    assert_eq!(rendered("display_name:'*'").1, ["*"], "a star in quotes is a text");
}

#[test]
fn an_empty_filter_matches_everything() {
    let statement = statement("  ", "name");
    let wanted = "SELECT id, (id)::text AS list_key_0 FROM products WHERE (deleted_at IS NULL) \
                  ORDER BY id ASC LIMIT $1::bigint";
    assert_eq!((statement.text.as_str(), statement.values), (wanted, vec!["11".to_owned()]));
}

#[test]
fn an_order_ends_with_the_key_in_the_direction_of_the_preceding_field() {
    let order = |order_by: &str| {
        let text = statement("", order_by).text;
        text[text.find("ORDER BY ").unwrap() + 9..text.find(" LIMIT").unwrap()].to_owned()
    };
    assert_eq!(order(""), "created_at DESC, id DESC", "the schema's own order");
    assert_eq!(order("display_name"), "display_name ASC, id ASC");
    assert_eq!(order("display_name DESC , create_time asc"), "display_name DESC, created_at ASC, id ASC");
    assert_eq!(order("name desc, display_name"), "id DESC", "nothing after the key matters");
}

#[test]
fn the_next_page_begins_after_the_last_row() {
    let next = |order_by: &str, keys: &[&str]| {
        let listing = || PRODUCTS.parse("", order_by).unwrap();
        let page = listing().page(&tokens(), &["List"], "", 1).unwrap();
        let mut rows = vec![keys, keys];
        let token = page.cut(&mut rows, |row, index| Ok::<_, ()>(row[index].to_owned())).unwrap();
        let next = listing().page(&tokens(), &["List"], &token, 1).unwrap().statement(&SELECT, &[]);
        let from = next.text.find("NULL) AND ").unwrap() + "NULL) AND ".len();
        (next.text[from..next.text.find(" ORDER BY").unwrap()].to_owned(), next.values)
    };
    let (sql, values) = next("display_name desc", &["Tea", "tea"]);
    assert_eq!(sql, "((display_name, id) < ($1, $2))");
    assert_eq!(values, ["Tea", "tea", "2"]);
    let (sql, _) = next("display_name desc, name", &["Tea", "tea"]);
    assert_eq!(sql, "(display_name < $1 OR (display_name = $1 AND (id > $2)))");
}

#[test]
fn a_token_of_another_filter_order_or_owner_is_refused() {
    let page = |filter: &str, order_by: &str, owner: &str, token: &str| {
        PRODUCTS.parse(filter, order_by).unwrap().page(&tokens(), &["List", owner], token, 1)
    };
    let first = page("version = 1", "name", "me", "").unwrap();
    let token = first.cut(&mut vec![(), ()], |(), _| Ok::<_, ()>("a".to_owned())).unwrap();
    assert!(page("version = 1", "name", "me", &token).is_ok());
    for (filter, order_by, owner) in
        [("version = 2", "name", "me"), ("version = 1", "", "me"), ("version = 1", "name", "you")]
    {
        assert_eq!(refused(page(filter, order_by, owner, &token)).0, "page_token");
    }
}

#[test]
fn a_wrong_filter_gets_an_error_with_its_position_and_the_fix() {
    for (filter, wanted) in [
        (
            "prise < 3",
            "at character 1: unknown field \"prise\"; did you mean \"price\"? Fields: name, display_name, price, state, version, create_time, order",
        ),
        (
            "secret = x",
            "at character 1: unknown field \"secret\"; use one of name, display_name, price, state, version, create_time, order",
        ),
        ("version", "at character 8: one of = != < <= > >= : is missing after version"),
        ("version 3", "at character 9: one of = != < <= > >= : is missing after version before \"3\""),
        ("version =", "at character 10: a value is missing; put text in quotes"),
        ("version = x", "at character 11: version: \"x\" is not a whole number"),
        ("state = LIFE", "at character 9: state: unknown value \"LIFE\"; did you mean LIVE? Values: LIVE, GONE"),
        ("state < LIVE", "at character 7: state takes only =, != and :*"),
        ("version : 3", "at character 9: version takes only =, !=, <, <=, >, >= and :*"),
        ("version = 1 version = 2", "at character 13: AND or OR is missing before \"version\""),
        ("version = 1 and version = 2", "at character 13: AND or OR is missing before \"and\""),
        (
            "version = 1 AND",
            "at character 16: a field is missing; use one of name, display_name, price, state, version, create_time, order",
        ),
        ("AND version = 1", "at character 1: a comparison is missing before AND"),
        ("not version = 1", "at character 1: write NOT in capital letters"),
        ("(version = 1", "at character 1: the parenthesis is not closed"),
        ("version = 1)", "at character 12: unmatched closing parenthesis before \")\""),
        ("display_name = \"x", "at character 16: the quote is not closed"),
        ("display_name = \"ä\\n\"", "at character 19: only \\\", \\' and \\\\ may follow a backslash"),
        ("display_name = \"\0\"", "at character 17: control characters are not allowed"),
    ] {
        assert_eq!(filter_error(filter), wanted, "{filter:?}");
    }
}

#[test]
fn a_wrong_order_gets_an_error_with_its_position_and_the_fix() {
    let sortable = "name, display_name, price, create_time";
    for (order_by, wanted) in [
        ("version", format!("at character 1: unknown field \"version\"; use one of {sortable}")),
        ("prise", format!("at character 1: unknown field \"prise\"; did you mean \"price\"? Fields: {sortable}")),
        ("name,", format!("at character 6: a field is missing; use one of {sortable}")),
        ("name up", "at character 6: only asc, desc or a comma may follow a field".to_owned()),
        ("name asc desc", "at character 10: a comma is missing before \"desc\"".to_owned()),
        ("name, name desc", "at character 7: name is named twice".to_owned()),
    ] {
        assert_eq!(refused(PRODUCTS.parse("", order_by)), ("order_by".to_owned(), wanted), "{order_by:?}");
    }
}

#[test]
fn length_depth_and_number_of_comparisons_are_bounded() {
    let nested = |depth: usize| format!("{}version = 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(PRODUCTS.filter(&nested(MAX_DEPTH)).is_ok());
    assert!(filter_error(&nested(MAX_DEPTH + 1)).contains("nested more than 8 deep"));
    assert!(filter_error(&format!("{}version = 1", "NOT ".repeat(200))).contains("nested more than 8 deep"));
    let many = |terms: usize| vec!["version = 1"; terms].join(" AND ");
    assert!(PRODUCTS.filter(&many(MAX_TERMS)).is_ok());
    assert!(filter_error(&many(MAX_TERMS + 1)).contains("more than 32 comparisons"));
    assert!(filter_error(&" ".repeat(MAX_FILTER + 1)).contains("more than 1024 bytes"));
    assert!(refused(PRODUCTS.parse("", &"x".repeat(MAX_ORDER_BY + 1))).1.contains("more than 256 bytes"));
}

/// A record with a name, a version and, where it is live, a state.
fn record(name: &'static str, version: i64, live: bool) -> impl Record {
    move |field: &str| match field {
        "display_name" => Some(name.into()),
        "version" => Some(version.into()),
        "price" => Some(Value::thousandths(version * 1_000)),
        "state" => live.then(|| "live".into()),
        _ => None,
    }
}

#[test]
fn a_record_in_memory_matches_as_in_the_database() {
    let matches = |filter: &str| PRODUCTS.filter(filter).unwrap().matches(&record("Green Tea", 7, false));
    for filter in [
        "",
        "version = 7",
        "version >= 7 AND version <= 7",
        "version != 8",
        "display_name:tea",
        "display_name > 'Ga'",
        "price < 7.001",
        "price > 6.999",
        "NOT state = LIVE",
        "state != LIVE",
        "-state:*",
        "display_name:*",
        "version = 1 OR version = 7",
    ] {
        assert!(matches(filter), "{filter}");
    }
    for filter in [
        "version = 8",
        "version < 7",
        "version > 7",
        "display_name:coffee",
        "state = LIVE",
        "state:*",
        "NOT state != LIVE",
        "version = 7 AND version = 8",
        "price = 7.5",
        "order = orders/00000000-0000-0000-0000-000000000007",
    ] {
        assert!(!matches(filter), "{filter}");
    }
    assert!(PRODUCTS.filter("state = LIVE").unwrap().matches(&record("", 1, true)));
    assert!(!PRODUCTS.filter("display_name:*").unwrap().matches(&record("", 1, true)), "an empty text isn't set");
}
