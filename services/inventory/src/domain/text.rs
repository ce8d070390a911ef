//! What people write: lengths in characters, and no control characters that a database or a terminal would choke on.

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// It has no characters but spaces.
    #[error("must not be empty")]
    Empty,
    /// It has more characters than that.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// It has a control character.
    #[error("must not contain control characters")]
    Control,
}

/// One line that must be there.
///
/// # Errors
/// The first fault.
pub fn required(text: &str, longest: usize) -> Result<(), TextFault> {
    if text.trim().is_empty() { Err(TextFault::Empty) } else { line(text, longest) }
}

/// One line that may be empty.
///
/// # Errors
/// The first fault.
pub fn line(text: &str, longest: usize) -> Result<(), TextFault> {
    fits(text, longest, char::is_control)
}

/// Lines that may be empty.
///
/// # Errors
/// The first fault.
pub fn lines(text: &str, longest: usize) -> Result<(), TextFault> {
    fits(text, longest, |c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

fn fits(text: &str, longest: usize, refused: fn(char) -> bool) -> Result<(), TextFault> {
    if text.chars().count() > longest {
        return Err(TextFault::TooLong(longest));
    }
    if text.contains(refused) { Err(TextFault::Control) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_characters_and_not_bytes() {
        assert_eq!(required("äöü", 3), Ok(()));
        assert_eq!(required("äöüß", 3), Err(TextFault::TooLong(3)));
        assert_eq!(required("  ", 3), Err(TextFault::Empty));
    }

    #[test]
    fn control_characters_are_refused_but_line_breaks_may_be_allowed() {
        assert_eq!(line("a\0b", 9), Err(TextFault::Control));
        assert_eq!(line("a\nb", 9), Err(TextFault::Control));
        assert_eq!(lines("a\nb", 9), Ok(()));
        assert_eq!(lines("a\0b", 9), Err(TextFault::Control));
    }
}
