//! E-mail addresses, and which spellings are the same address.
//!
//! An address is stored in one form: NFC, with its domain mapped by UTS #46 (lower case; `xn--` labels decoded). Two
//! addresses are the same if these forms are equal ignoring case, which the table's index enforces. Invisible
//! characters, and characters that only look like others (full-width letters, ligatures), are refused in new addresses,
//! so that nobody can sign up with an address that looks like somebody else's. Letters of other scripts that look alike
//! are different letters.

use super::precis::{is_invisible, nfc, nfkc};

/// Maximum length of the part before the @ (RFC 5321).
const MAX_LOCAL: usize = 64;

/// The forms in which an address may be stored, the current form first; an earlier version stored addresses unchanged.
#[must_use]
pub fn forms(email: &str) -> Vec<String> {
    let mut forms = Vec::new();
    if let Ok(canonical) = canonical(email) {
        if let Some((local, domain)) = canonical.split_once('@')
            && let Ok(ascii) = idna::domain_to_ascii(domain)
        {
            forms.push(format!("{local}@{ascii}"));
        }
        forms.insert(0, canonical);
    }
    forms.push(email.to_owned());
    forms.dedup();
    forms
}

/// The address in its stored form.
///
/// # Errors
/// Why it is invalid. Only sending mail could verify more.
pub fn canonical(email: &str) -> Result<String, &'static str> {
    if email.is_empty() {
        return Err("must be set");
    }
    let email = nfc(email);
    if email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("must not contain blanks or control characters");
    }
    if email.chars().any(is_invisible) {
        return Err("must not contain invisible characters");
    }
    let (local, domain) = email.split_once('@').ok_or("must contain an @")?;
    if nfkc(local) != local {
        return Err("must not contain full-width letters, ligatures or the like before the @");
    }
    let domain = mapped(domain).ok_or("must be an e-mail address")?;
    let sound = !local.is_empty()
        && local.len() <= MAX_LOCAL
        && !domain.is_empty()
        && !domain.contains('@')
        && !domain.contains("..")
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with(['.', '-']);
    if sound { Ok(format!("{local}@{domain}")) } else { Err("must be an e-mail address") }
}

/// The text by which an address is compared: its canonical form in lower case, letter by letter as PostgreSQL's `lower`
/// maps them (`str::to_lowercase` makes two letters of İ, and depends on a word's end).
#[must_use]
pub fn folded(email: &str) -> String {
    let email = canonical(email).unwrap_or_else(|_| nfc(email));
    email.chars().map(|letter| letter.to_lowercase().next().unwrap_or(letter)).collect()
}

/// A domain in its canonical form; an address literal (`[192.0.2.1]`) is unchanged.
fn mapped(domain: &str) -> Option<String> {
    if domain.starts_with('[') {
        return Some(domain.to_owned());
    }
    let ascii = idna::domain_to_ascii(domain).ok()?;
    let (mapped, sound) = idna::domain_to_unicode(&ascii);
    sound.is_ok().then_some(mapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_taken() {
        for email in [
            "a@b",
            "ann.o'neill+x@example.co.uk",
            "j\u{fc}rgen@ex\u{e4}mple.de",
            "ops@flotilla.local",
            "Ann@[192.0.2.1]",
        ] {
            assert_eq!(canonical(email).as_deref(), Ok(email));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@b", "a".repeat(65));
        for email in ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a\0@b", "a@.b", "a@b.", "a@b..c", &long] {
            assert!(canonical(email).is_err(), "{email:?}");
        }
    }

    #[test]
    fn one_address_has_one_form() {
        let one = "j\u{fc}rgen@ex\u{e4}mple.de";
        for same in [
            "ju\u{308}rgen@ex\u{e4}mple.de",
            "j\u{fc}rgen@exa\u{308}mple.DE",
            "j\u{fc}rgen@xn--exmple-cua.de",
            "j\u{fc}rgen@EX\u{c4}MPLE\u{3002}de",
        ] {
            assert_eq!(canonical(same).as_deref(), Ok(one), "{same:?}");
        }
        assert_eq!(canonical("Ann@EXAMPLE.com").as_deref(), Ok("Ann@example.com"), "case before the @ stays as given");
    }

    #[test]
    fn addresses_that_look_like_others_are_refused() {
        for email in [
            "ann\u{200b}@example.com",
            "ann\u{ad}@example.com",
            "\u{feff}ann@example.com",
            "a\u{2060}nn@example.com",
            "ann\u{3000}@example.com",
            "ann\u{a0}@example.com",
            "\u{202e}nna@example.com",
            "\u{ff41}nn@example.com",
            "\u{fb01}ona@example.com",
        ] {
            assert!(canonical(email).is_err(), "{email:?}");
        }
    }

    #[test]
    fn an_address_is_looked_for_in_every_form_that_was_ever_stored() {
        assert_eq!(forms("Ann@example.com"), ["Ann@example.com"]);
        assert_eq!(forms("a@xn--exmple-cua.de"), ["a@ex\u{e4}mple.de", "a@xn--exmple-cua.de"]);
        assert_eq!(forms("an\u{200b}n@b"), ["an\u{200b}n@b"], "what can't be stored any more may have been");
    }
}
