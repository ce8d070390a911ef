//! Redaction: types that mask their values, and a filter for what they don't cover.
//!
//! [`Personal`] and [`Secret`] mask at the source: whoever logs a value of theirs logs a mask. [`scrub`] is the last
//! line: every log line and all that is exported passes it, and patterns of cards, tokens, addresses and passwords are
//! replaced. Guarantees: text without such a pattern comes back as it was, borrowed; JSON stays JSON.

mod card;
mod pattern;
mod types;

use std::borrow::Cow;

pub use types::{Personal, Secret};

use pattern::Found;

/// `text` with what looks like a card number, a token, an e-mail address, a password or the credentials of a URL
/// replaced by a mask. One pass; allocates only where something is found.
#[must_use]
pub fn scrub(text: &str) -> Cow<'_, str> {
    let Some(first) = pattern::next(text.as_bytes(), 0) else { return Cow::Borrowed(text) };
    let mut clean = String::with_capacity(text.len());
    let (mut done, mut found) = (0, Some(first));
    while let Some(Found { start, end, mask }) = found {
        // A pattern begins and ends at ASCII characters, so these are boundaries; were one not, it'd be masked further.
        clean.push_str(text.get(done..start).unwrap_or_default());
        mask.write(&mut clean, end - start);
        done = end;
        found = pattern::next(text.as_bytes(), done);
    }
    clean.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(clean)
}

/// [`scrub`] for a value that has a name: one whose name says that it is a secret is masked whole.
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
