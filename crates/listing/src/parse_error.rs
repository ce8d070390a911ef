//! Errors in a filter or an order: their position, what is wrong and what is allowed.

use super::schema::Field;
use flotilla_rpc::{RpcError, invalid};

/// Longest piece of input that an error quotes, in characters.
const QUOTED: usize = 40;
/// Maximum edit distance between a word and a suggested field.
const NEAR: usize = 2;

/// An error at a position in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParseError {
    /// Number of characters before the error.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

impl ParseError {
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// The error as clients see it; `field` is the request's field.
    pub fn into_rpc(self, field: &'static str) -> RpcError {
        invalid(field, format!("at character {}: {}", self.at + 1, self.message))
    }
}

/// A piece of input in quotes, truncated if it is long.
pub(super) fn quoted(input: &str) -> String {
    let mut shown: String = input.chars().take(QUOTED).collect();
    if shown.len() < input.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The message for an unknown field: the field that is probably meant, and all that are allowed.
pub(super) fn unknown<'a>(word: &str, known: impl Iterator<Item = &'a Field>) -> String {
    let names: Vec<&str> = known.map(|field| field.name).collect();
    if word.is_empty() {
        return format!("a field is missing; use one of {}", names.join(", "));
    }
    // Only a possible field name is quoted: the word may be part of an e-mail address.
    let plain = word.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    let shown = if plain { format!("unknown field {}", quoted(word)) } else { "unknown field".to_owned() };
    match closest(word, &names) {
        Some(name) => format!("{shown}; did you mean {name:?}? Fields: {}", names.join(", ")),
        None => format!("{shown}; use one of {}", names.join(", ")),
    }
}

/// The candidate that differs from the word by only a few changes, if there is one.
pub(super) fn closest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let distances = candidates.iter().map(|candidate| (distance(word, candidate), *candidate));
    distances.filter(|(distance, _)| *distance <= NEAR).min().map(|(_, candidate)| candidate)
}

/// The edit distance of two words; a lower bound if their lengths differ much.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    if a.chars().count().abs_diff(b.len()) > NEAR {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_found_and_another_word_is_not() {
        let names = ["price", "display_name", "create_time"];
        assert_eq!(closest("prize", &names), Some("price"));
        assert_eq!(closest("displayname", &names), Some("display_name"));
        assert_eq!(closest("create_tiem", &names), Some("create_time"));
        assert_eq!(closest("colour", &names), None);
    }

    #[test]
    fn long_input_is_quoted_in_part() {
        assert_eq!(quoted("short"), "\"short\"");
        assert_eq!(quoted(&"ä".repeat(60)).chars().count(), QUOTED + 3);
    }
}
