//! Random input is refused or rendered; it never panics or becomes part of a statement.

use proptest::prelude::*;

use super::*;

/// Pieces from which valid and invalid filters are assembled.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "version",
        "price",
        "state",
        "display_name",
        "create_time",
        "order",
        "name",
        "secret",
        "=",
        "!=",
        "<",
        "<=",
        ":",
        "AND",
        "OR",
        "NOT",
        "-",
        "(",
        ")",
        " ",
        " ",
        "*",
        "1",
        "2.5",
        "LIVE",
        "'x'",
        "\"y\"",
        "\"",
        "'",
        "\\",
        ";",
        "--",
        "2026-01-01",
        "products/tea",
        "ä",
        "\0",
        "$1",
        ",",
        "asc",
        "desc",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.join(""))
}

/// The rest of a statement without its columns, its parameters and the words that rendering uses.
fn unexplained(text: &str) -> String {
    const WORDS: &[&str] = &[
        "SELECT",
        "FROM",
        "WHERE",
        "AND",
        "OR",
        "IS",
        "NOT",
        "NULL",
        "TRUE",
        "DISTINCT",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "ORDER",
        "BY",
        "ASC",
        "DESC",
        "LIMIT",
        "AS",
        "strpos",
        "lower",
        "text",
        "bigint",
        "numeric",
        "timestamptz",
        "uuid",
        "id",
        "products",
        "deleted_at",
        "display_name",
        "price_minor",
        "currency",
        "state",
        "version",
        "created_at",
        "order_id",
    ];
    let codes: Vec<_> = flotilla_money::Currency::all().map(flotilla_money::Currency::code).collect();
    let known = |word: &str| {
        WORDS.contains(&word)
            || codes.contains(&word)
            || word.starts_with("list_key_")
            || word.bytes().all(|byte| byte.is_ascii_digit())
    };
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let words = text.split(|c| !word(c)).filter(|found| !known(found));
    let signs = text.chars().filter(|c| !word(*c) && !" ()<>=,:*$'".contains(*c));
    words.map(str::to_owned).chain(signs.map(String::from)).collect()
}

proptest! {
    #[test]
    fn no_input_panics_or_becomes_part_of_a_statement(filter in prop_oneof![any::<String>(), pieces()], order_by in prop_oneof![any::<String>(), pieces()]) {
        for (filter, order_by) in [(filter.as_str(), ""), ("", order_by.as_str()), (&filter, &order_by)] {
            match PRODUCTS.parse(filter, order_by) {
                Ok(listing) => {
                    listing.filter().matches(&record("x", 1, true));
                    let page = listing.page(&tokens(), &["List"], "", 10).unwrap();
                    let statement = page.statement(&SELECT, &[]);
                    prop_assert_eq!(unexplained(&statement.text), "", "{}", &statement.text);
                    let parameters = statement.text.matches('$').count();
                    prop_assert_eq!(parameters, statement.values.len());
                    prop_assert!(statement.values.iter().all(|value| !value.contains('\0')));
                }
                Err(error) => prop_assert!(matches!(error.violations()[0].0.as_str(), "filter" | "order_by")),
            }
        }
    }

    #[test]
    fn quoted_text_becomes_the_parameter_unchanged(text in "[^\\p{Cc}]{0,60}") {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        let (sql, values) = rendered(&format!("display_name = \"{escaped}\""));
        prop_assert_eq!(sql, "(display_name = $1)");
        prop_assert_eq!(values, vec![text]);
    }
}
