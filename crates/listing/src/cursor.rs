//! Reads a text from left to right.

use super::parse_error::{ParseError, quoted};

/// Characters that an unquoted literal may have besides letters and digits.
const BARE: &str = "_-+.:/@*";

/// A position in a text. Cheap to copy, so that a reader can look ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, at: 0 }
    }

    /// Number of characters before this position, after spaces.
    pub fn at(&mut self) -> usize {
        self.skip_spaces();
        self.at
    }

    /// Whether only spaces are left.
    pub fn is_end(&mut self) -> bool {
        self.skip_spaces();
        self.rest.is_empty()
    }

    /// The next character, if there is one.
    pub fn peek(&mut self) -> Option<char> {
        self.skip_spaces();
        self.rest.chars().next()
    }

    /// Consumes `token` if it is next.
    pub fn eat(&mut self, token: &str) -> bool {
        self.skip_spaces();
        let found = self.rest.starts_with(token);
        if found {
            self.forward(token.len());
        }
        found
    }

    /// Consumes a word of letters, digits, `_` and `.`; the empty word if there is none.
    pub fn word(&mut self) -> &'a str {
        self.skip_spaces();
        self.run(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
    }

    /// Consumes the word if it is next as a whole.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let mut ahead = *self;
        let found = ahead.word() == word;
        if found {
            *self = ahead;
        }
        found
    }

    /// Consumes a literal, quoted or bare.
    pub fn literal(&mut self) -> Result<String, ParseError> {
        self.skip_spaces();
        let at = self.at;
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => {
                let bare = self.run(|c| c.is_ascii_alphanumeric() || BARE.contains(c));
                if bare.is_empty() {
                    return Err(ParseError::new(
                        at,
                        format!("a value is missing{}; put text in quotes", self.instead()),
                    ));
                }
                Ok(bare.to_owned())
            }
        }
    }

    /// The next token, for an error message: ` before "..."`.
    pub fn instead(&mut self) -> String {
        self.skip_spaces();
        let next: String = self.rest.split_whitespace().next().unwrap_or_default().to_owned();
        if next.is_empty() { String::new() } else { format!(" before {}", quoted(&next)) }
    }

    fn quoted(&mut self, quote: char) -> Result<String, ParseError> {
        let opened = self.at;
        let mut text = String::new();
        let mut escaped = false;
        for (index, c) in self.rest.char_indices().skip(1) {
            match c {
                '"' | '\'' | '\\' if escaped => text.push(c),
                _ if escaped => {
                    let at = opened + self.rest[..index].chars().count();
                    return Err(ParseError::new(at, r#"only \", \' and \\ may follow a backslash"#));
                }
                '\\' => {}
                c if c == quote => {
                    self.forward(index + c.len_utf8());
                    return Ok(text);
                }
                c => text.push(c),
            }
            escaped = c == '\\' && !escaped;
        }
        Err(ParseError::new(opened, "the quote is not closed"))
    }

    fn run(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let run = &self.rest[..end];
        self.forward(end);
        run
    }

    fn skip_spaces(&mut self) {
        let spaces = self.rest.len() - self.rest.trim_start_matches(' ').len();
        self.forward(spaces);
    }

    fn forward(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.at += passed.chars().count();
        self.rest = rest;
    }
}

/// Refuses texts that are too long for any filter or order, and control characters.
pub(super) fn check(text: &str, longest: usize) -> Result<(), ParseError> {
    if text.len() > longest {
        return Err(ParseError::new(longest, format!("more than {longest} bytes")));
    }
    match text.chars().position(char::is_control) {
        Some(at) => Err(ParseError::new(at, "control characters are not allowed")),
        None => Ok(()),
    }
}
