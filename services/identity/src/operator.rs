//! The first operator, created from the settings at the first start: there are no default credentials.

use std::time::Duration;

use flotilla_clock::Ids;
use flotilla_config::ExposeSecret as _;
use flotilla_proto::{
    identity::v1::{CreateUserRequest, Role, User},
    requests,
};
use flotilla_redact::Secret;

use crate::{
    config::AdminSettings,
    domain::SignUp,
    passwords::Passwords,
    storage::{Insertion, NewUser, Users},
};

/// Creates the operator unless a user already has the address; several replicas may try at once.
///
/// # Errors
/// The settings don't describe a valid user, or the database is unavailable until `deadline`.
pub async fn ensure(
    settings: &AdminSettings,
    users: &Users,
    passwords: &Passwords,
    ids: &Ids,
    deadline: Duration,
) -> anyhow::Result<()> {
    let (Some(email), Some(password)) = (&settings.email, &settings.password) else { return Ok(()) };
    let (sign_up, password) = sign_up(email, password.expose_secret())?;
    let known = flotilla_postgres::retry(deadline, || users.known(&sign_up)).await?;
    if !known.is_empty() {
        return Ok(());
    }
    let password_hash = passwords.hash(password).await?;
    let new = NewUser { id: ids.next(), sign_up, password_hash };
    if let Insertion::Created(user) = users.insert(&new, deadline).await? {
        tracing::info!(user = %user.id, "operator created from the settings");
    }
    Ok(())
}

/// Converts the settings to a sign-up, with the same rules as for other users.
fn sign_up(email: &str, password: &str) -> anyhow::Result<(SignUp, Secret<String>)> {
    let mut user = User {
        email: email.to_owned(),
        password: password.to_owned(),
        display_name: "Operator".to_owned(),
        ..User::default()
    };
    user.set_role(Role::Operator);
    let request = CreateUserRequest { user: Some(user), request_id: String::new() };
    if let Some(violation) = requests::violations(&request).first() {
        anyhow::bail!("admin: {} {}", violation.field, violation.description);
    }
    SignUp::from_request(&request).map_err(|violations| {
        let problems: Vec<_> =
            violations.iter().map(|found| format!("{} {}", found.field, found.description)).collect();
        anyhow::anyhow!("admin: {}", problems.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_of_the_settings_is_held_to_the_rules_of_a_sign_up() {
        let made = sign_up("ops@example.com", "correct horse").expect("a sound operator");
        assert_eq!(made.0.role, crate::domain::Role::Operator);
        for (email, password) in [("ops", "correct horse"), ("ops@example.com", "short"), ("", "correct horse")] {
            assert!(sign_up(email, password).is_err(), "{email} {password}");
        }
    }
}
