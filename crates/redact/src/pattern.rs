//! Finds what must be masked, from left to right.
//!
//! A table says for each byte whether it can indicate a pattern; all other bytes cost one lookup.

use super::card;

/// A match and its mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub start: usize,
    pub end: usize,
    pub mask: Mask,
}

/// What replaces a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mask {
    Card,
    /// Nines, for a card number where JSON needs a number. They aren't a valid card number.
    Number,
    Email,
    Token,
    Secret,
}

impl Mask {
    pub fn write(self, to: &mut String, length: usize) {
        match self {
            Self::Card => to.push_str("[card]"),
            Self::Number => to.extend(std::iter::repeat_n('9', length)),
            Self::Email => to.push_str("[email]"),
            Self::Token => to.push_str("[token]"),
            Self::Secret => to.push_str("[secret]"),
        }
    }
}

/// The pattern that a byte can indicate.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Indicator {
    None,
    Digit,
    At,
    /// `%40`, an encoded `@` in a query.
    Percent,
    /// `=` and `:`: a pair, or the scheme of a URL.
    Pair,
    /// `b` of Bearer and Basic.
    Scheme,
    /// `J` of the `eyJ` that every JWT begins with.
    Jwt,
    /// `$` of a password hash.
    Hash,
}

static INDICATORS: [Indicator; 256] = {
    let mut indicators = [Indicator::None; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        indicators[digit as usize] = Indicator::Digit;
        digit += 1;
    }
    indicators[b'@' as usize] = Indicator::At;
    indicators[b'%' as usize] = Indicator::Percent;
    indicators[b'=' as usize] = Indicator::Pair;
    indicators[b':' as usize] = Indicator::Pair;
    indicators[b'b' as usize] = Indicator::Scheme;
    indicators[b'B' as usize] = Indicator::Scheme;
    indicators[b'J' as usize] = Indicator::Jwt;
    indicators[b'$' as usize] = Indicator::Hash;
    indicators
};

/// The first match that begins at or after `from`.
pub(super) fn next(text: &[u8], from: usize) -> Option<Found> {
    let mut at = from;
    loop {
        // Most bytes end here.
        at += text.get(at..)?.iter().position(|byte| INDICATORS[usize::from(*byte)] != Indicator::None)?;
        let found = match INDICATORS[usize::from(text[at])] {
            Indicator::Digit => {
                // No pattern begins in the middle of a number.
                let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let found = number(text, at);
                if found.is_none() {
                    at += digits;
                    continue;
                }
                found
            }
            Indicator::At => email(text, from, at, 1),
            Indicator::Percent if text[at..].starts_with(b"%40") => email(text, from, at, 3),
            Indicator::Pair => pair(text, from, at),
            Indicator::Scheme => scheme(text, at),
            Indicator::Jwt => jwt(text, from, at),
            Indicator::Hash => hash(text, at),
            Indicator::None | Indicator::Percent => None,
        };
        if found.is_some() {
            return found;
        }
        at += 1;
    }
}

fn number(text: &[u8], start: usize) -> Option<Found> {
    let end = card::at(text, start)?;
    let bare = text[start..end].iter().all(u8::is_ascii_digit)
        && matches!(start.checked_sub(1).map(|at| text[at]), Some(b':' | b',' | b'['))
        && matches!(text.get(end), Some(b',' | b'}' | b']'));
    Some(Found { start, end, mask: if bare { Mask::Number } else { Mask::Card } })
}

fn email(text: &[u8], from: usize, at: usize, width: usize) -> Option<Found> {
    let local = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b".!#$%&'*+/=?^_`{|}~-".contains(byte);
    let start = at - text[from..at].iter().rev().take_while(|byte| local(byte)).count();
    // Characters that are allowed in addresses but rare aren't included: `email=ann@...`, `{ann@...`.
    let start =
        text[start..at].iter().rposition(|byte| b"=/?&{'`|".contains(byte)).map_or(start, |last| start + last + 1);
    let domain = &text[at + width..];
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || matches!(byte, b'.' | b'-');
    let mut length = domain.iter().take_while(|byte| named(byte)).count();
    while length > 0 && matches!(domain[length - 1], b'.' | b'-') {
        length -= 1;
    }
    let fits = start < at && domain.first().is_some_and(|first| first.is_ascii_alphanumeric() || !first.is_ascii());
    (fits && length > 0).then_some(Found { start, end: at + width + length, mask: Mask::Email })
}

/// The credentials after `Bearer` or `Basic`.
fn scheme(text: &[u8], start: usize) -> Option<Found> {
    let word = [&b"bearer "[..], b"basic "].into_iter().find(|word| starts_with(&text[start..], word))?;
    let start = start + word.len();
    let length = text[start..].iter().take_while(|byte| is_token(**byte)).count();
    let token = &text[start..start + length];
    // "bearer token" and "basic authentication" are plain text.
    let opaque = token.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    (length >= 6 && opaque).then_some(Found { start, end: start + length, mask: Mask::Token })
}

fn jwt(text: &[u8], from: usize, at: usize) -> Option<Found> {
    let start = at.checked_sub(2).filter(|start| *start >= from && text[*start..].starts_with(b"eyJ"))?;
    let rest = &text[start..];
    let part = |from: usize| rest[from..].iter().take_while(|byte| is_base64url(**byte)).count();
    let header = part(0);
    if rest.get(header) != Some(&b'.') {
        return None;
    }
    let mut end = header + 1 + part(header + 1);
    if end == header + 1 {
        return None;
    }
    if rest.get(end) == Some(&b'.') {
        end += 1 + part(end + 1);
    }
    Some(Found { start, end: start + end, mask: Mask::Token })
}

/// A password hash in PHC format.
fn hash(text: &[u8], start: usize) -> Option<Found> {
    let rest = &text[start..];
    if !rest.starts_with(b"$argon2") {
        return None;
    }
    let length = rest.iter().take_while(|byte| is_token(**byte) || matches!(byte, b'$' | b',')).count();
    Some(Found { start, end: start + length, mask: Mask::Secret })
}

/// Whether the end of a name indicates that its value is a secret.
pub(super) fn is_secret(name: &[u8]) -> bool {
    let endings: &[&[u8]] = match name.last().map(u8::to_ascii_lowercase) {
        Some(b'd') => &[b"password", b"passwd", b"pwd"],
        Some(b'e') => &[b"passphrase", b"cookie"],
        Some(b't') => &[b"secret"],
        Some(b'n') => &[b"token", b"authorization"],
        Some(b'y') => &[b"secret_key", b"secretkey", b"api_key", b"apikey", b"api-key", b"private_key"],
        _ => return false,
    };
    endings.iter().any(|ending| ends_with(name, ending))
}

/// `password=...`, `"token":"..."`, and the user information of a URL.
fn pair(text: &[u8], from: usize, at: usize) -> Option<Found> {
    if text[at..].starts_with(b"://") {
        return credentials(text, at + 3);
    }
    let mut name = &text[from..at];
    // `%3D` and `%3A` aren't considered: queries are logged as received or decoded, and `=` itself isn't encoded there.
    while let Some((b'"' | b'\'' | b'\\' | b' ', rest)) = name.split_last().map(|(last, rest)| (*last, rest)) {
        name = rest;
    }
    if !is_secret(name) {
        return None;
    }
    let mut start = at + 1;
    while matches!(text.get(start), Some(b' ')) {
        start += 1;
    }
    let spaced = start > at + 1;
    for wrapping in [&b"Some("[..], b"Ok("] {
        if text[start..].starts_with(wrapping) {
            start += wrapping.len();
        }
    }
    value(text, start, spaced && text[at] == b':')
}

/// The value of a pair that begins at `start`: in quotes, in the escaped quotes of JSON within JSON, or bare.
fn value(text: &[u8], start: usize, prose: bool) -> Option<Found> {
    let slashes = text[start..].iter().take_while(|byte| **byte == b'\\').count();
    let quote = text.get(start + slashes).copied().filter(|byte| matches!(byte, b'"' | b'\''));
    let Some(quote) = quote else {
        let bare = |byte: &u8| !byte.is_ascii_whitespace() && !b",;&\"'\\)]}".contains(byte);
        let length = text[start..].iter().take_while(|byte| bare(byte)).count();
        let value = &text[start..start + length];
        // "password: must be set" is plain text. The credentials after `Bearer` and `Basic` are a pattern of their own.
        let letters = value.strip_suffix(b".").unwrap_or(value).iter().all(u8::is_ascii_lowercase);
        let word = prose && (letters || value.len() < 4);
        let scheme = value.eq_ignore_ascii_case(b"bearer") || value.eq_ignore_ascii_case(b"basic");
        return found(start, start + length, value, word || scheme);
    };
    let start = start + slashes + 1;
    let mut end = start;
    // The closing quote has as many backslashes as the opening one.
    loop {
        let run = text[end..].iter().take_while(|byte| **byte == b'\\').count();
        match text.get(end + run) {
            None => {
                end += run;
                break;
            }
            Some(byte) if *byte == quote && run == slashes => break,
            // An escaped character belongs to the value.
            Some(_) => end += run + 1,
        }
    }
    let value = &text[start..end];
    // Credentials after Bearer and Basic are a pattern of their own; a value that only begins like one isn't.
    found(start, end, value, scheme(text, start).is_some())
}

fn found(start: usize, end: usize, value: &[u8], harmless: bool) -> Option<Found> {
    const NOTHING: [&[u8]; 4] = [b"null", b"None", b"true", b"false"];
    const MASKS: [&[u8]; 3] = [b"[secret", b"[token", b"[personal"];
    let word = [&b"bearer "[..], b"basic "].into_iter().find(|word| starts_with(value, word));
    let inner = &value[word.map_or(0, <[u8]>::len)..];
    // A mask isn't masked again, even if its bracket ends a bare value.
    let plain = NOTHING.contains(&value) || MASKS.iter().any(|mask| inner.starts_with(mask));
    (end > start && !harmless && !plain).then_some(Found { start, end, mask: Mask::Secret })
}

/// The user information of the authority that begins at `start`: the password after a user name, or all of it.
fn credentials(text: &[u8], start: usize) -> Option<Found> {
    let authority =
        text[start..].iter().take_while(|byte| !byte.is_ascii_whitespace() && !b"/?#\"'\\,<>".contains(byte)).count();
    let authority = &text[start..start + authority];
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    let begin = authority[..at].iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
    let value = &authority[begin..at];
    found(start + begin, start + at, value, false)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn starts_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

fn ends_with(text: &[u8], word: &[u8]) -> bool {
    text.len().checked_sub(word.len()).is_some_and(|start| text[start..].eq_ignore_ascii_case(word))
}
