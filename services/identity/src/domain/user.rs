//! A user, and what each of its fields may hold beyond what the contract declares (lengths, ranges), which is checked
//! before a request gets here.

use std::time::SystemTime;

use flotilla_proto::identity::v1 as proto;
use flotilla_redact::Personal;
use uuid::Uuid;

/// Longest part before the @ (RFC 5321).
const MAX_LOCAL: usize = 64;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Buys; sees only what is theirs.
    Customer,
    /// Runs the fleet.
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

    /// Reads what [`as_str`](Self::as_str) wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Customer, Self::Operator].into_iter().find(|role| role.as_str() == text)
    }

    /// Reads the role of a request; nothing where it isn't said. The contract lets no other number through.
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
    /// E-mail address as given.
    pub email: Personal<String>,
    /// Name to greet the user by.
    pub display_name: Personal<String>,
    /// What the user may do.
    pub role: Role,
    /// Counts the changes; the etag.
    pub version: i64,
    /// When the user signed up.
    pub created_at: SystemTime,
    /// When the user was last changed.
    pub updated_at: SystemTime,
}

/// A field at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request.
    pub field: &'static str,
    /// What is wrong with it.
    pub description: String,
}

impl Violation {
    /// A field and what is wrong with it.
    pub fn new(field: &'static str, description: impl Into<String>) -> Self {
        Self { field, description: description.into() }
    }
}

/// Checks an e-mail address: one @ with something plain on both sides. Only a letter to it could prove more.
///
/// # Errors
/// What is wrong with it.
pub fn check_email(email: &str) -> Result<(), Violation> {
    let wrong = |description| Err(Violation::new("user.email", description));
    if email.is_empty() {
        return wrong("must be set");
    }
    if email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return wrong("must not contain blanks or control characters");
    }
    let Some((local, domain)) = email.split_once('@') else { return wrong("must contain an @") };
    let sound = !local.is_empty()
        && local.len() <= MAX_LOCAL
        && !domain.is_empty()
        && !domain.contains('@')
        && !domain.contains("..")
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with(['.', '-']);
    if sound { Ok(()) } else { wrong("must be an e-mail address") }
}

/// Checks a display name.
///
/// # Errors
/// What is wrong with it.
pub fn check_display_name(name: &str) -> Result<(), Violation> {
    if name.chars().any(char::is_control) {
        return Err(Violation::new("user.display_name", "must not contain control characters"));
    }
    Ok(())
}

/// Checks that there is a password; how long it may be the contract declares.
///
/// # Errors
/// There is none.
pub fn check_password(password: &str) -> Result<(), Violation> {
    if password.is_empty() { Err(Violation::new("user.password", "must be set")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_taken() {
        for email in ["a@b", "ann.o'neill+x@example.co.uk", "jürgen@exämple.de", "ops@flotilla.local"] {
            assert_eq!(check_email(email), Ok(()), "{email}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@b", "a".repeat(65));
        for email in ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a\0@b", "a@.b", "a@b.", "a@b..c", &long] {
            assert!(check_email(email).is_err(), "{email:?}");
        }
    }

    #[test]
    fn control_characters_are_refused_everywhere() {
        assert!(check_display_name("").is_ok());
        assert!(check_display_name("Jürgen O'Neill").is_ok());
        assert!(check_display_name("a\0b").is_err());
        assert!(check_password("").is_err());
        assert!(check_password("\0").is_ok(), "a password is never shown");
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
