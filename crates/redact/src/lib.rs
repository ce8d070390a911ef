//! Redaction: types that mask their values, and a filter for everything else.
//!
//! [`Personal`] and [`Secret`] mask at the source: their values are logged as a mask. [`scrub`] is the last line of defence:
//! every log line and everything that is exported passes through it, and card numbers, tokens, e-mail addresses and
//! passwords are replaced. Guarantees: text without such a pattern is returned unchanged and borrowed; JSON stays JSON.

mod card;
mod pattern;
mod types;

use std::borrow::Cow;

pub use types::{Personal, Secret};

use pattern::Found;

/// Replaces everything in `text` that looks like a card number, a token, an e-mail address, a password or the credentials
/// of a URL by a mask, in one pass. Allocates only if something is found.
#[must_use]
pub fn scrub(text: &str) -> Cow<'_, str> {
    let Some(first) = pattern::next(text.as_bytes(), 0) else { return Cow::Borrowed(text) };
    let mut clean = String::with_capacity(text.len());
    let (mut done, mut found) = (0, Some(first));
    while let Some(Found { start, end, mask }) = found {
        // Patterns begin and end at ASCII characters, so these are char boundaries. If one weren't, more would be masked.
        clean.push_str(text.get(done..start).unwrap_or_default());
        mask.write(&mut clean, end - start);
        done = end;
        found = pattern::next(text.as_bytes(), done);
    }
    clean.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(clean)
}

/// [`scrub`] for a named value, which is masked as a whole if its name is that of a secret.
#[must_use]
pub fn scrub_value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if !value.is_empty() && pattern::is_secret(name.as_bytes()) {
        Cow::Owned(Secret::<()>::MASK.to_owned())
    } else {
        scrub(value)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
