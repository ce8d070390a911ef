//! The first operator, made from the settings at the first start: there are no default credentials.

use std::time::Duration;

use flotilla_config::ExposeSecret as _;
use flotilla_messaging::Ids;

use crate::{
    config::AdminSettings,
    domain::{
        Role, SignUp,
        user::{check_email, check_password},
    },
    passwords::Passwords,
    storage::{Insertion, NewUser, Users},
};

/// Makes the operator unless a user has the address; several replicas may try at once.
///
/// # Errors
/// Settings that no user could have, or no database within `deadline`.
pub async fn ensure(
    settings: &AdminSettings,
    users: &Users,
    passwords: &Passwords,
    ids: &Ids,
    deadline: Duration,
) -> anyhow::Result<()> {
    let (Some(email), Some(password)) = (&settings.email, &settings.password) else { return Ok(()) };
    if let Err(violation) = check_email(email).and_then(|()| check_password(password.expose_secret())) {
        anyhow::bail!("admin: {} {}", violation.field, violation.description);
    }
    let sign_up =
        SignUp { email: email.clone(), display_name: "Operator".to_owned(), role: Role::Operator, request_id: None };
    let known = flotilla_postgres::retry(deadline, || users.known(&sign_up)).await?;
    if !known.is_empty() {
        return Ok(());
    }
    let password_hash = passwords.hash(password.expose_secret().to_owned()).await?;
    let new = NewUser { id: ids.next(), sign_up, password_hash };
    if let Insertion::Created(user) = users.insert(&new, deadline).await? {
        tracing::info!(user = %user.id, "operator made from the settings");
    }
    Ok(())
}
