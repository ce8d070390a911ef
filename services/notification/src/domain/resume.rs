//! Resume tokens of the feed: `s` and the sequence last seen. They need no signature: a feed is bound to its owner.

/// The token after a sequence.
#[must_use]
pub fn token(sequence: i64) -> String {
    format!("s{sequence}")
}

/// The sequence last seen; 0 for the empty token, `None` where it isn't a token.
#[must_use]
pub fn parse(token: &str) -> Option<i64> {
    if token.is_empty() {
        return Some(0);
    }
    let digits = token.strip_prefix('s')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_its_sequence_back() {
        assert_eq!(parse(&token(7)), Some(7));
        assert_eq!(parse(""), Some(0));
        for rubbish in ["7", "s", "s-1", "s+1", "s1x", "s 1", "s99999999999999999999"] {
            assert_eq!(parse(rubbish), None, "{rubbish}");
        }
    }
}
