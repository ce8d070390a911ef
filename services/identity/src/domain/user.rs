//! A user, and what each of its fields may hold.

use std::time::SystemTime;

use flotilla_proto::identity::v1 as proto;
use uuid::Uuid;

/// Longest e-mail address (RFC 5321).
const MAX_EMAIL: usize = 254;
/// Longest part before the @ (RFC 5321).
const MAX_LOCAL: usize = 64;
/// Longest display name, in characters.
const MAX_DISPLAY_NAME: usize = 200;
/// Shortest password, in characters.
const MIN_PASSWORD: usize = 8;
/// Longest password, in characters: a bound on the work of hashing it.
pub const MAX_PASSWORD: usize = 256;
/// Longest request id, in characters.
const MAX_REQUEST_ID: usize = 128;

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

    /// Reads the role of a request; nothing where it isn't said.
    ///
    /// # Errors
    /// A number that is no role.
    pub fn from_proto(role: i32) -> Result<Option<Self>, Violation> {
        match proto::Role::try_from(role) {
            Ok(proto::Role::Unspecified) => Ok(None),
            Ok(proto::Role::Customer) => Ok(Some(Self::Customer)),
            Ok(proto::Role::Operator) => Ok(Some(Self::Operator)),
            Err(_) => Err(Violation::new("user.role", "is no known role")),
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
    pub email: String,
    /// Name to greet the user by.
    pub display_name: String,
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
    if email.len() > MAX_EMAIL {
        return wrong("must be at most 254 bytes long");
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
    let wrong = |description| Err(Violation::new("user.display_name", description));
    if name.chars().count() > MAX_DISPLAY_NAME {
        return wrong("must be at most 200 characters long");
    }
    if name.chars().any(char::is_control) {
        return wrong("must not contain control characters");
    }
    Ok(())
}

/// Checks a password's length.
///
/// # Errors
/// What is wrong with it.
pub fn check_password(password: &str) -> Result<(), Violation> {
    let length = password.chars().count();
    if (MIN_PASSWORD..=MAX_PASSWORD).contains(&length) {
        return Ok(());
    }
    Err(Violation::new("user.password", "must be 8 to 256 characters long"))
}

/// Checks an idempotency key; an empty one stands for none.
///
/// # Errors
/// What is wrong with it.
pub fn check_request_id(request_id: &str) -> Result<(), Violation> {
    if request_id.chars().count() > MAX_REQUEST_ID || request_id.chars().any(char::is_control) {
        return Err(Violation::new(
            "request_id",
            "must be at most 128 characters long, none of them control characters",
        ));
    }
    Ok(())
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
        let longer = format!("a@{}", "b".repeat(254));
        for email in
            ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a\0@b", "a@.b", "a@b.", "a@b..c", &long, &longer]
        {
            assert!(check_email(email).is_err(), "{email:?}");
        }
    }

    #[test]
    fn lengths_count_characters() {
        assert!(check_password("1234567").is_err());
        assert!(check_password("pässwörd").is_ok());
        assert!(check_password(&"ß".repeat(256)).is_ok());
        assert!(check_password(&"x".repeat(257)).is_err());
        assert!(check_display_name("").is_ok());
        assert!(check_display_name(&"ß".repeat(200)).is_ok());
        assert!(check_display_name(&"x".repeat(201)).is_err());
        assert!(check_display_name("a\0b").is_err());
        assert!(check_request_id(&"k".repeat(129)).is_err());
    }

    #[test]
    fn roles_survive_tables_and_contracts() {
        for role in [Role::Customer, Role::Operator] {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(Role::from_proto(role.to_proto().into()), Ok(Some(role)));
        }
        assert_eq!(Role::from_proto(0), Ok(None));
        assert!(Role::from_proto(77).is_err());
        assert_eq!(Role::parse("root"), None);
    }
}
