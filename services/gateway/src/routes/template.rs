//! Path templates of `google.api.http`: `/v1/{name=orders/*}:cancel`.
//!
//! Supported are literals, `*`, variables over several segments and custom verbs. `**` is refused at start-up: no
//! contract uses it, and it would make matching ambiguous.

/// One part of a path between slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text.
    Literal(String),
    /// Any text that isn't empty.
    Any,
}

/// A field that takes its value from consecutive segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Dotted path of the field in the request message.
    pub field: String,
    /// First segment.
    pub start: usize,
    /// The segment after the last.
    pub end: usize,
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The segments, variables unfolded.
    pub segments: Vec<Segment>,
    /// The variables.
    pub variables: Vec<Variable>,
    /// The custom verb after the last colon.
    pub verb: Option<String>,
}

/// Why a template can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It doesn't begin with a slash.
    #[error("must begin with a slash")]
    NotAbsolute,
    /// An unmatched or nested brace.
    #[error("unbalanced braces")]
    Unbalanced,
    /// Nothing between two slashes, or a variable without a name.
    #[error("empty segment or variable")]
    Empty,
    /// `**`, or a wildcard within text.
    #[error("only * is supported as a wildcard")]
    Wildcard,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// [`TemplateError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let rest = text.strip_prefix('/').ok_or(TemplateError::NotAbsolute)?;
        let (path, verb) = split_verb(rest)?;
        let mut template = Self { segments: Vec::new(), variables: Vec::new(), verb };
        if path.is_empty() {
            return Ok(template);
        }
        for piece in split_outside_braces(path)? {
            template.push(piece)?;
        }
        Ok(template)
    }

    fn push(&mut self, piece: &str) -> Result<(), TemplateError> {
        let Some(inner) = piece.strip_prefix('{').and_then(|piece| piece.strip_suffix('}')) else {
            self.segments.push(segment(piece)?);
            return Ok(());
        };
        let (field, pattern) = inner.split_once('=').unwrap_or((inner, "*"));
        if field.is_empty() {
            return Err(TemplateError::Empty);
        }
        let start = self.segments.len();
        for part in pattern.split('/') {
            self.segments.push(segment(part)?);
        }
        self.variables.push(Variable { field: field.to_owned(), start, end: self.segments.len() });
        Ok(())
    }
}

fn segment(text: &str) -> Result<Segment, TemplateError> {
    match text {
        "" => Err(TemplateError::Empty),
        "*" => Ok(Segment::Any),
        _ if text.contains('*') => Err(TemplateError::Wildcard),
        _ if text.contains(['{', '}']) => Err(TemplateError::Unbalanced),
        _ => Ok(Segment::Literal(text.to_owned())),
    }
}

/// Splits off the verb: the text after a colon that follows the last slash and brace.
fn split_verb(text: &str) -> Result<(&str, Option<String>), TemplateError> {
    let tail = text.rfind(['/', '}']).map_or(0, |at| at + 1);
    match text[tail..].split_once(':') {
        None => Ok((text, None)),
        Some((_, "")) => Err(TemplateError::Empty),
        Some((before, verb)) => Ok((&text[..tail + before.len()], Some(verb.to_owned()))),
    }
}

fn split_outside_braces(path: &str) -> Result<Vec<&str>, TemplateError> {
    let (mut pieces, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, character) in path.char_indices() {
        match (character, inside) {
            ('{', false) => inside = true,
            ('}', true) => inside = false,
            ('{', true) | ('}', false) => return Err(TemplateError::Unbalanced),
            ('/', false) => {
                pieces.push(&path[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(TemplateError::Unbalanced);
    }
    pieces.push(&path[start..]);
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.to_owned())
    }

    #[test]
    fn a_variable_covers_the_segments_of_its_pattern() {
        let template = Template::parse("/v1/{product=products/*}:adjustStock").unwrap();
        assert_eq!(template.segments, [literal("v1"), literal("products"), Segment::Any]);
        assert_eq!(template.variables, [Variable { field: "product".into(), start: 1, end: 3 }]);
        assert_eq!(template.verb.as_deref(), Some("adjustStock"));
        let template = Template::parse("/v1/{parent=accounts/*}/postings").unwrap();
        assert_eq!(template.segments, [literal("v1"), literal("accounts"), Segment::Any, literal("postings")]);
        assert_eq!(template.verb, None);
    }

    #[test]
    fn a_literal_may_carry_a_verb_and_a_bare_variable_is_one_segment() {
        let template = Template::parse("/v1/auth:login").unwrap();
        assert_eq!((template.segments.len(), template.verb.as_deref()), (2, Some("login")));
        let template = Template::parse("/v1/things/{thing.id}").unwrap();
        assert_eq!(template.variables, [Variable { field: "thing.id".into(), start: 2, end: 3 }]);
    }

    #[test]
    fn broken_templates_are_refused() {
        for (text, error) in [
            ("v1", TemplateError::NotAbsolute),
            ("/v1/{name", TemplateError::Unbalanced),
            ("/v1/name}", TemplateError::Unbalanced),
            ("/v1/{a{b}}", TemplateError::Unbalanced),
            ("/v1//x", TemplateError::Empty),
            ("/v1/{=x}", TemplateError::Empty),
            ("/v1/x:", TemplateError::Empty),
            ("/v1/{name=**}", TemplateError::Wildcard),
            ("/v1/a*", TemplateError::Wildcard),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
    }
}
