//! Media types and parsed content types.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// JSON, one value per line.
pub const LINES: [&str; 3] = ["application/x-ndjson", "application/jsonl", "application/ndjson"];

/// A content type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// The media type without parameters, in lower case.
    pub essence: String,
    /// Whether the charset is UTF-8 or not given.
    pub utf8: bool,
}

impl MediaType {
    /// The content type in these headers; empty if there is none.
    pub fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
        let utf8 = parameters.split(';').filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        });
        Self { essence: essence.trim().to_ascii_lowercase(), utf8 }
    }

    /// Whether it is one of those that `fits` accepts, in UTF-8.
    pub fn is_utf8(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.utf8 && fits(&self.essence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_separated_from_its_parameters() {
        for (value, essence, utf8) in [
            ("application/json", "application/json", true),
            ("Application/JSON; charset=UTF-8", "application/json", true),
            ("application/json;x=y; Charset=\"utf-8\"", "application/json", true),
            ("application/json; charset=latin1", "application/json", false),
            ("", "", true),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(MediaType::of(&headers), MediaType { essence: essence.to_owned(), utf8 }, "{value}");
        }
        assert!(MediaType::of(&HeaderMap::new()).essence.is_empty());
    }
}
