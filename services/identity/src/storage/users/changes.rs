//! Changes of the table `users`. Each is committed in one transaction with its event.

use std::time::Duration;

use flotilla_auth::Revoked;
use flotilla_messaging::Event;
use flotilla_postgres::{Error as StoreError, Tx, retry, retry_unless_unknown};
use flotilla_proto::events::Published;
use flotilla_proto::identity::v1::{UserCreated, UserDeleted, UserUpdated};
use flotilla_redact::Secret;
use uuid::Uuid;

use super::{Known, SIGN_UPS, Users, known, user};
use crate::{
    domain::{SignUp, User, email},
    error::Error,
    storage::sessions::revoked,
};

const INSERT: &str = include_str!("../../../queries/insert_user.sql");
const LOCK: &str = include_str!("../../../queries/lock_user.sql");
const UPDATE: &str = include_str!("../../../queries/update_user.sql");
const DELETE: &str = include_str!("../../../queries/delete_user.sql");
const END_SESSIONS: &str = include_str!("../../../queries/end_sessions_of_user.sql");

/// The unique constraints on addresses.
const EMAIL: [&str; 2] = ["users_email", "users_email_normalized"];

/// A user to insert.
pub struct NewUser {
    /// Its id.
    pub id: Uuid,
    /// The sign-up.
    pub sign_up: SignUp,
    /// The slow hash of its password.
    pub password_hash: Secret<String>,
}

/// A password to set.
pub struct NewPassword {
    /// Its slow hash.
    pub hash: Secret<String>,
    /// The only hash that it may replace, if the caller had to prove the current password.
    pub proved: Option<Secret<String>>,
}

/// The result of an insert.
pub enum Insertion {
    /// The user exists now.
    Created(User),
    /// Other users already have the request id or the address.
    Taken(Vec<Known>),
}

impl Users {
    /// Inserts a user, with `UserCreated`. A retry of the same insert finds its own user.
    pub async fn insert(&self, new: &NewUser, deadline: Duration) -> Result<Insertion, StoreError> {
        retry(deadline, || self.try_insert(new)).await
    }

    async fn try_insert(&self, new: &NewUser) -> Result<Insertion, StoreError> {
        let SignUp { email, display_name, role, request_id } = &new.sign_up;
        let (email, display_name, password_hash) = (email.expose(), display_name.expose(), new.password_hash.expose());
        let hash = request_id.as_ref().map(|_| new.sign_up.hash().to_vec());
        let tx = self.system.begin().await?;
        let row = tx
            .query_opt(INSERT, &[&new.id, email, display_name, &role.as_str(), password_hash, request_id, &hash])
            .await?;
        let Some(row) = row else {
            let rows = tx.query(SIGN_UPS, &[request_id, &email::forms(email)]).await?;
            tx.rollback().await?;
            let mut taken = rows.iter().map(known).collect::<Result<Vec<_>, _>>()?;
            return Ok(match taken.iter().position(|known| known.user.id == new.id) {
                Some(own) => Insertion::Created(taken.swap_remove(own).user),
                None => Insertion::Taken(taken),
            });
        };
        let user = user(&row)?;
        let created = UserCreated {
            user: resource(user.id),
            display_name: user.display_name.expose().clone(),
            role: user.role.as_str().to_owned(),
        };
        self.append(&tx, &[self.event(&user, &created)]).await?;
        tx.commit().await?;
        Ok(Insertion::Created(user))
    }

    /// Changes a user as `decide` determines from the locked row, with `UserUpdated`; nothing is written if it returns
    /// `None`. A new password may accompany any change. A changed password or role ends the user's sessions, which are
    /// returned.
    pub async fn update(
        &self,
        id: Uuid,
        password: Option<&NewPassword>,
        deadline: Duration,
        decide: impl Fn(&User) -> Result<Option<User>, Error>,
    ) -> Result<(User, Vec<Revoked>), Error> {
        retry_unless_unknown(deadline, || self.try_update(id, password, &decide)).await
    }

    async fn try_update(
        &self,
        id: Uuid,
        password: Option<&NewPassword>,
        decide: &impl Fn(&User) -> Result<Option<User>, Error>,
    ) -> Result<(User, Vec<Revoked>), Error> {
        let tx = self.system.begin().await?;
        let present = tx.query_opt(LOCK, &[&id]).await?.as_ref().map(user).transpose()?;
        let decided = match &present {
            Some(present) => decide(present),
            None => Err(Error::NotFound(id)),
        };
        let (changed, present) = match (decided, present) {
            (Ok(Some(changed)), Some(present)) => (changed, present),
            (Ok(None), Some(present)) => {
                tx.rollback().await?;
                return Ok((present, Vec::new()));
            }
            (Ok(_), None) => return Err(Error::NotFound(id)),
            (Err(error), _) => return tx.rollback_with(error).await,
        };
        let (email, name, role) = (changed.email.expose(), changed.display_name.expose(), changed.role.as_str());
        let hash = password.map(|new| new.hash.expose());
        let proved = password.and_then(|new| new.proved.as_ref()).map(Secret::expose);
        let user = match tx.query_opt(UPDATE, &[&id, email, name, &role, &hash, &proved]).await {
            Ok(Some(row)) => user(&row)?,
            // Another change of the password came first.
            Ok(None) => return tx.rollback_with(Error::WrongCurrentPassword).await,
            // Only the index detects an address that a concurrent transaction inserts.
            Err(error) if error.constraint().is_some_and(|name| EMAIL.contains(&name)) => {
                return tx.rollback_with(Error::EmailTaken).await;
            }
            Err(error) => return Err(error.into()),
        };
        let ended = if password.is_some() || user.role != present.role {
            self.end_sessions(&tx, id).await?
        } else {
            Vec::new()
        };
        let updated = UserUpdated {
            user: resource(id),
            display_name: user.display_name.expose().clone(),
            role: user.role.as_str().to_owned(),
        };
        self.append(&tx, &[self.event(&user, &updated)]).await?;
        tx.commit().await?;
        Ok((user, ended))
    }

    /// Deletes a user if `check` accepts the locked row, with `UserDeleted`. Returns the sessions that were ended.
    pub async fn delete(
        &self,
        id: Uuid,
        deadline: Duration,
        check: impl Fn(&User) -> Result<(), Error>,
    ) -> Result<Vec<Revoked>, Error> {
        retry_unless_unknown(deadline, || self.try_delete(id, &check)).await
    }

    async fn try_delete(&self, id: Uuid, check: &impl Fn(&User) -> Result<(), Error>) -> Result<Vec<Revoked>, Error> {
        let tx = self.system.begin().await?;
        let present = tx.query_opt(LOCK, &[&id]).await?.as_ref().map(user).transpose()?;
        let Some(mut user) = present else {
            return tx.rollback_with(Error::NotFound(id)).await;
        };
        if let Err(error) = check(&user) {
            return tx.rollback_with(error).await;
        }
        user.version = tx.query_one(DELETE, &[&id]).await?.get(0)?;
        let ended = self.end_sessions(&tx, id).await?;
        self.append(&tx, &[self.event(&user, &UserDeleted { user: resource(id) })]).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn end_sessions(&self, tx: &Tx, user: Uuid) -> Result<Vec<Revoked>, StoreError> {
        tx.query(END_SESSIONS, &[&user, &self.ids.now()]).await?.iter().map(revoked).collect()
    }

    async fn append(&self, tx: &Tx, events: &[Event]) -> Result<(), StoreError> {
        self.outbox.append(tx, events).await.map_err(flotilla_messaging::Error::into_postgres)
    }

    fn event<M: prost::Message + Published>(&self, user: &User, message: &M) -> Event {
        Event::new(self.ids.next(), message, user.id, user.version, self.ids.now())
            .traced(flotilla_rpc::current_traceparent())
    }
}

fn resource(id: Uuid) -> String {
    flotilla_rpc::name::of("users", id)
}
