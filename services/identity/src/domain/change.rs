//! Changes requested by an update, and who may make them.

use flotilla_proto::identity::v1 as proto;
use flotilla_redact::{Personal, Secret};
use prost_types::FieldMask;

use super::user::{Role, User, Violation, check_display_name, check_email, check_password};

/// Fields that an update may change.
const MUTABLE: [&str; 4] = ["email", "display_name", "password", "role"];
/// Output-only fields: in a mask they are ignored.
const OUTPUT_ONLY: [&str; 4] = ["name", "etag", "create_time", "update_time"];
/// A field that authorises the request and is never changed itself; in a mask it is ignored.
const PROOF: &str = "current_password";

/// New values for some fields of a user.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// New e-mail address.
    pub email: Option<Personal<String>>,
    /// New name.
    pub display_name: Option<Personal<String>>,
    /// The new password, normalized, in plain text.
    pub password: Option<Secret<String>>,
    /// The current password, as the client sent it.
    pub current_password: Option<Secret<String>>,
    /// New role.
    pub role: Option<Role>,
}

/// Why a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// Only operators set roles.
    RoleNeedsOperator,
}

impl Change {
    /// Reads the masked fields of `user`; without a mask, all fields that are set.
    ///
    /// # Errors
    /// All invalid fields, including paths of the mask.
    pub fn from_request(user: &proto::User, mask: Option<&FieldMask>) -> Result<Self, Vec<Violation>> {
        let mut violations = Vec::new();
        let asked = Asked::new(mask, &mut violations);
        let mut change = Self::default();
        if asked.field("email", !user.email.is_empty()) {
            change.email = taken(check_email(&user.email), &mut violations);
        }
        if asked.field("display_name", !user.display_name.is_empty()) {
            change.display_name = taken(check_display_name(&user.display_name), &mut violations);
        }
        if asked.field("password", !user.password.is_empty()) {
            change.password = taken(check_password(&user.password), &mut violations);
            change.current_password =
                Some(user.current_password.clone()).filter(|text| !text.is_empty()).map(Secret::new);
        }
        if asked.field("role", user.role != 0) {
            match Role::from_proto(user.role) {
                Some(role) => change.role = Some(role),
                None => violations.push(Violation::new("user.role", "must be set")),
            }
        }
        if violations.is_empty() { Ok(change) } else { Err(violations) }
    }

    /// The changed user, or `None` if nothing changes (a new password is always a change).
    ///
    /// # Errors
    /// [`ChangeRefusal`] if the caller may not make the change.
    pub fn apply(&self, user: &User, by_operator: bool) -> Result<Option<User>, ChangeRefusal> {
        let role = self.role.unwrap_or(user.role);
        if role != user.role && !by_operator {
            return Err(ChangeRefusal::RoleNeedsOperator);
        }
        let changed = User {
            email: self.email.clone().unwrap_or_else(|| user.email.clone()),
            display_name: self.display_name.clone().unwrap_or_else(|| user.display_name.clone()),
            role,
            ..user.clone()
        };
        Ok(if changed == *user && self.password.is_none() { None } else { Some(changed) })
    }
}

/// Returns the value; on failure adds a violation.
fn taken<T>(checked: Result<T, Violation>, violations: &mut Vec<Violation>) -> Option<T> {
    checked.map_err(|violation| violations.push(violation)).ok()
}

/// The fields that a request changes.
struct Asked<'a> {
    mask: Option<&'a FieldMask>,
}

impl<'a> Asked<'a> {
    fn new(mask: Option<&'a FieldMask>, violations: &mut Vec<Violation>) -> Self {
        let mask = mask.filter(|mask| !mask.paths.is_empty());
        for path in mask.iter().flat_map(|mask| &mask.paths) {
            let known = path == "*"
                || MUTABLE.contains(&path.as_str())
                || OUTPUT_ONLY.contains(&path.as_str())
                || path == PROOF;
            if !known {
                let shown: String = path.chars().take(64).collect();
                violations.push(Violation::new("update_mask", format!("{shown:?} is no field that can be changed")));
            }
        }
        Self { mask }
    }

    fn field(&self, field: &str, given: bool) -> bool {
        match self.mask {
            None => given,
            Some(mask) => mask
                .paths
                .iter()
                .any(|path| path == field || (path == "*" && (given || !matches!(field, "password" | "role")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use uuid::Uuid;

    use super::*;

    fn user() -> User {
        User {
            id: Uuid::nil(),
            email: "ann@example.com".to_owned().into(),
            display_name: "Ann".to_owned().into(),
            role: Role::Customer,
            version: 1,
            created_at: SystemTime::UNIX_EPOCH,
            updated_at: SystemTime::UNIX_EPOCH,
        }
    }

    fn mask(paths: &[&str]) -> FieldMask {
        FieldMask { paths: paths.iter().map(ToString::to_string).collect() }
    }

    fn fields(result: Result<Change, Vec<Violation>>) -> Vec<&'static str> {
        result.err().unwrap_or_default().iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn without_a_mask_the_given_fields_change() {
        let given = proto::User { display_name: "Anna".into(), ..Default::default() };
        let change = Change::from_request(&given, None).expect("valid");
        let changed = change.apply(&user(), false).expect("allowed").expect("changed");
        assert_eq!(changed, User { display_name: "Anna".to_owned().into(), ..user() });
    }

    #[test]
    fn a_masked_field_may_be_emptied_and_an_unmasked_one_stays() {
        let given = proto::User { email: "other@example.com".into(), ..Default::default() };
        let change = Change::from_request(&given, Some(&mask(&["display_name", "etag"]))).expect("valid");
        let changed = change.apply(&user(), false).expect("allowed").expect("changed");
        assert_eq!(changed, User { display_name: String::new().into(), ..user() });
    }

    #[test]
    fn what_stays_as_it_is_is_no_change_but_a_password_is() {
        let same = proto::User { email: "ann@example.com".into(), role: 1, ..Default::default() };
        let change = Change::from_request(&same, None).expect("valid");
        assert_eq!(change.apply(&user(), false), Ok(None));
        let password = Change { password: Some("correct horse".to_owned().into()), ..Change::default() };
        assert_eq!(password.apply(&user(), false), Ok(Some(user())));
    }

    #[test]
    fn only_operators_set_roles() {
        let change = Change { role: Some(Role::Operator), ..Change::default() };
        assert_eq!(change.apply(&user(), false), Err(ChangeRefusal::RoleNeedsOperator));
        assert_eq!(change.apply(&user(), true), Ok(Some(User { role: Role::Operator, ..user() })));
    }

    #[test]
    fn bad_fields_and_paths_are_named() {
        let bad = proto::User { email: "x".into(), display_name: "\0".into(), ..Default::default() };
        assert_eq!(fields(Change::from_request(&bad, None)), ["user.email", "user.display_name"]);
        let empty = proto::User::default();
        assert_eq!(
            fields(Change::from_request(&empty, Some(&mask(&["email", "shoe_size", "password", "role"])))),
            ["update_mask", "user.email", "user.password", "user.role"]
        );
    }
}
