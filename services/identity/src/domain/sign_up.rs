//! Sign-ups, and when two of them are the same.

use flotilla_proto::identity::v1 as proto;
use flotilla_redact::{Personal, Secret};
use sha2::{Digest as _, Sha256};

use super::user::{Role, Violation, check_display_name, check_email, check_password};

/// A valid sign-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignUp {
    /// E-mail address.
    pub email: Personal<String>,
    /// The display name.
    pub display_name: Personal<String>,
    /// The role.
    pub role: Role,
    /// The idempotency key: a repeat returns the same user.
    pub request_id: Option<String>,
}

impl SignUp {
    /// Parses a request; also returns its normalized password.
    ///
    /// # Errors
    /// All invalid fields.
    pub fn from_request(request: &proto::CreateUserRequest) -> Result<(Self, Secret<String>), Vec<Violation>> {
        let Some(user) = &request.user else { return Err(vec![Violation::new("user", "must be set")]) };
        let checks = (check_email(&user.email), check_display_name(&user.display_name), check_password(&user.password));
        let (email, display_name, password) = match checks {
            (Ok(email), Ok(display_name), Ok(password)) => (email, display_name, password),
            (email, display_name, password) => {
                let violations = [email.err(), display_name.err(), password.err()];
                return Err(violations.into_iter().flatten().collect());
            }
        };
        let role = Role::from_proto(user.role).unwrap_or(Role::Customer);
        let request_id = Some(request.request_id.clone()).filter(|id| !id.is_empty());
        Ok((Self { email, display_name, role, request_id }, password))
    }

    /// The hash of the request, which distinguishes a repeat from a reuse of its key. It doesn't include the password,
    /// because a fast hash of a password must never be stored; a repeat's password is checked against the slow hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [self.email.expose().to_lowercase().as_str(), self.display_name.expose(), self.role.as_str()] {
            // The lengths distinguish lists of parts with the same concatenation.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> proto::CreateUserRequest {
        proto::CreateUserRequest {
            user: Some(proto::User {
                email: "ann@example.com".into(),
                password: "correct horse".into(),
                ..Default::default()
            }),
            request_id: String::new(),
        }
    }

    #[test]
    fn a_plain_sign_up_makes_a_customer_without_a_key() {
        let (sign_up, _) = SignUp::from_request(&request()).expect("valid");
        assert_eq!((sign_up.role, sign_up.request_id), (Role::Customer, None));
    }

    #[test]
    fn a_sign_up_in_another_normal_form_is_the_same() {
        let mut composed = request();
        let mut decomposed = request();
        let user = |email: &str, name: &str| proto::User {
            email: email.into(),
            display_name: name.into(),
            password: "correct horse".into(),
            ..Default::default()
        };
        composed.user = Some(user("j\u{fc}rgen@ex\u{e4}mple.de", "J\u{fc}rgen"));
        decomposed.user = Some(user("ju\u{308}rgen@xn--exmple-cua.de", "Ju\u{308}rgen"));
        let (one, other) = (SignUp::from_request(&composed), SignUp::from_request(&decomposed));
        assert_eq!(one, other);
        assert!(one.is_ok());
    }

    #[test]
    fn every_field_at_fault_is_named_at_once() {
        let user = proto::User { display_name: "\n".into(), ..Default::default() };
        let request = proto::CreateUserRequest { user: Some(user), request_id: String::new() };
        let violations = SignUp::from_request(&request).expect_err("nothing in it is valid");
        let fields: Vec<_> = violations.iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["user.email", "user.display_name", "user.password"]);
        assert_eq!(SignUp::from_request(&proto::CreateUserRequest::default()).expect_err("no user")[0].field, "user");
    }

    #[test]
    fn the_hash_distinguishes_sign_ups_but_not_the_case_of_their_address() {
        let (sign_up, _) = SignUp::from_request(&request()).expect("valid");
        let shouted = SignUp { email: "ANN@EXAMPLE.COM".to_owned().into(), ..sign_up.clone() };
        let renamed = SignUp { display_name: "Ann".to_owned().into(), ..sign_up.clone() };
        assert_eq!(sign_up.hash(), shouted.hash());
        assert_ne!(sign_up.hash(), renamed.hash());
    }
}
