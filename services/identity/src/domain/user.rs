//! A user, and the rules for its fields in addition to those of the contract (lengths, ranges), which are checked
//! earlier.

use std::time::SystemTime;

use flotilla_proto::identity::v1 as proto;
use flotilla_redact::{Personal, Secret};
use uuid::Uuid;

use super::{email, precis};

/// Minimum number of characters of a password.
const MIN_PASSWORD: usize = 8;

/// The role of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Places orders; sees only their own data.
    Customer,
    /// Operates the fleet.
    Operator,
}

impl Role {
    /// The role in tables, tokens and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
        }
    }

    /// Parses the output of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Customer, Self::Operator].into_iter().find(|role| role.as_str() == text)
    }

    /// Converts the role of a request; `None` if it is not set. The contract rejects all other numbers.
    #[must_use]
    pub fn from_proto(role: i32) -> Option<Self> {
        match proto::Role::try_from(role) {
            Ok(proto::Role::Customer) => Some(Self::Customer),
            Ok(proto::Role::Operator) => Some(Self::Operator),
            Ok(proto::Role::Unspecified) | Err(_) => None,
        }
    }

    /// The role in the contract.
    #[must_use]
    pub fn to_proto(self) -> proto::Role {
        match self {
            Self::Customer => proto::Role::Customer,
            Self::Operator => proto::Role::Operator,
        }
    }
}

/// A user, without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// E-mail address in its canonical form; the case before the @ is kept.
    pub email: Personal<String>,
    /// The display name.
    pub display_name: Personal<String>,
    /// The role.
    pub role: Role,
    /// The version, from which the etag is derived.
    pub version: i64,
    /// When the user signed up.
    pub created_at: SystemTime,
    /// When the user was last changed.
    pub updated_at: SystemTime,
}

/// An invalid field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request.
    pub field: &'static str,
    /// Why it is invalid.
    pub description: String,
}

impl Violation {
    /// Creates a violation.
    pub fn new(field: &'static str, description: impl Into<String>) -> Self {
        Self { field, description: description.into() }
    }
}

/// An e-mail address in its stored form (see [`email::canonical`]).
///
/// # Errors
/// Why it is invalid.
pub fn check_email(email: &str) -> Result<Personal<String>, Violation> {
    email::canonical(email).map(Personal::from).map_err(|wrong| Violation::new("user.email", wrong))
}

/// A display name in its stored form: in NFC, so that it is the same however it was typed.
///
/// # Errors
/// Why it is invalid.
pub fn check_display_name(name: &str) -> Result<Personal<String>, Violation> {
    let wrong = |description| Err(Violation::new("user.display_name", description));
    if name.chars().any(char::is_control) {
        return wrong("must not contain control characters");
    }
    // Joiners are part of many scripts and emoji. Direction and line-break characters would affect the page that shows
    // the name.
    if name.chars().any(|c| matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')) {
        return wrong("must not contain invisible characters that change the text around them");
    }
    Ok(precis::nfc(name).into())
}

/// A new password, normalized (see [`precis::opaque_string`]). The contract declares the length of the input; the
/// normalized form must not be too short either.
///
/// # Errors
/// Why it is invalid.
pub fn check_password(password: &str) -> Result<Secret<String>, Violation> {
    let wrong = |description: String| Violation::new("user.password", description);
    let prepared = precis::opaque_string(password).map_err(|disallowed| wrong(disallowed.to_string()))?;
    if prepared.chars().count() < MIN_PASSWORD {
        return Err(wrong(format!("must have at least {MIN_PASSWORD} characters")));
    }
    Ok(prepared.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_text_in_one_normal_form() {
        assert_eq!(check_display_name(""), Ok(String::new().into()));
        assert_eq!(check_display_name("Ju\u{308}rgen O'Neill"), Ok("J\u{fc}rgen O'Neill".to_owned().into()));
        assert!(check_display_name("\u{645}\u{6cc}\u{200c}\u{62e}").is_ok(), "a joiner is part of the script");
        for bad in ["a\0b", "Ann\u{202e}nimdA", "\u{feff}Ann", "Ann\u{200b}", "Ann\u{2028}"] {
            assert_eq!(
                check_display_name(bad).map_err(|violation| violation.field),
                Err("user.display_name"),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_new_password_is_prepared_and_long_enough_afterwards() {
        assert_eq!(check_password("cafe\u{301} au lait"), Ok("caf\u{e9} au lait".to_owned().into()));
        let problem = |password| check_password(password).map_err(|violation| violation.description);
        assert_eq!(problem(""), Err("must be set".to_owned()));
        assert_eq!(problem("correct\0horse"), Err("must not contain U+0000".to_owned()));
        assert_eq!(problem(&"e\u{301}".repeat(4)), Err("must have at least 8 characters".to_owned()));
    }

    #[test]
    fn roles_survive_tables_and_contracts() {
        for role in [Role::Customer, Role::Operator] {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(Role::from_proto(role.to_proto().into()), Some(role));
        }
        assert_eq!((Role::from_proto(0), Role::from_proto(77)), (None, None));
        assert_eq!(Role::parse("root"), None);
    }
}
