//! Text entered by users: not blank, and without control characters that a database or a terminal can't handle. The
//! contracts limit its length.

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// It is blank.
    #[error("must not be empty")]
    Empty,
    /// It contains a control character.
    #[error("must not contain control characters")]
    Control,
}

/// Validates one line that must not be blank.
///
/// # Errors
/// The first violation.
pub fn required(text: &str) -> Result<(), TextFault> {
    if text.trim().is_empty() { Err(TextFault::Empty) } else { line(text) }
}

/// Validates one line that may be empty.
///
/// # Errors
/// It contains control characters.
pub fn line(text: &str) -> Result<(), TextFault> {
    if text.contains(char::is_control) { Err(TextFault::Control) } else { Ok(()) }
}

/// Validates lines that may be empty.
///
/// # Errors
/// It contains control characters.
pub fn lines(text: &str) -> Result<(), TextFault> {
    let refused = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.contains(refused) { Err(TextFault::Control) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_more_than_spaces() {
        assert_eq!(required("äöü"), Ok(()));
        assert_eq!(required("  "), Err(TextFault::Empty));
        assert_eq!(line(""), Ok(()));
    }

    #[test]
    fn control_characters_are_refused_but_line_breaks_may_be_allowed() {
        assert_eq!(line("a\0b"), Err(TextFault::Control));
        assert_eq!(line("a\nb"), Err(TextFault::Control));
        assert_eq!(lines("a\nb"), Ok(()));
        assert_eq!(lines("a\0b"), Err(TextFault::Control));
    }
}
