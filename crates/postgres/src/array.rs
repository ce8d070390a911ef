//! Arrays as literals, for columns of arrays that are written for many rows by one statement: `unnest` flattens arrays of
//! arrays, so each row's array travels as text and is cast.

use std::fmt::{Display, Write as _};

/// An array as PostgreSQL writes it, such as `{"a","b"}`. All items are quoted, so that one called `null` isn't taken for
/// none.
pub fn array_literal(items: impl IntoIterator<Item = impl Display>) -> String {
    let mut literal = String::from("{");
    for item in items {
        literal.push_str(if literal.len() > 1 { ",\"" } else { "\"" });
        // Writing to a String can't fail.
        let _ = write!(Escaped(&mut literal), "{item}");
        literal.push('"');
    }
    literal.push('}');
    literal
}

struct Escaped<'a>(&'a mut String);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                self.0.push('\\');
            }
            self.0.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_quoted_and_escaped() {
        assert_eq!(array_literal(["null", "a-b"]), r#"{"null","a-b"}"#);
        assert_eq!(array_literal([1, 2]), r#"{"1","2"}"#);
        assert_eq!(array_literal(Vec::<&str>::new()), "{}");
        assert_eq!(array_literal([r#"a"b\c"#, r#"""#]), r#"{"a\"b\\c","\""}"#);
    }
}
