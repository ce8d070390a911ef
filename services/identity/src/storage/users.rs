//! The table `users`. Every change leaves with its event in the same transaction.

use std::time::Duration;

use flotilla_auth::Revoked;
use flotilla_clock::Ids;
use flotilla_listing::{Field, Page, Schema, Select};
use flotilla_messaging::{Event, Outbox};
use flotilla_postgres::{Error as StoreError, ErrorKind, Pool, Row, Tx, retry, retry_unless_unknown};
use flotilla_proto::events::Published;
use flotilla_proto::identity::v1::{UserCreated, UserDeleted, UserUpdated};
use flotilla_redact::{Personal, Secret};
use uuid::Uuid;

use super::sessions::revoked;
use crate::{
    domain::{Role, SignUp, User, email},
    error::Error,
};

const GET: &str = include_str!("../../queries/get_user.sql");
const CREDENTIALS: &str = include_str!("../../queries/find_credentials.sql");
const SIGN_UPS: &str = include_str!("../../queries/find_sign_ups.sql");
const INSERT: &str = include_str!("../../queries/insert_user.sql");
const LOCK: &str = include_str!("../../queries/lock_user.sql");
const UPDATE: &str = include_str!("../../queries/update_user.sql");
const DELETE: &str = include_str!("../../queries/delete_user.sql");
const PASSWORD: &str = include_str!("../../queries/get_password_hash.sql");
const REPLACE_HASH: &str = include_str!("../../queries/replace_password_hash.sql");
const END_SESSIONS: &str = include_str!("../../queries/end_sessions_of_user.sql");

/// What ListUsers may be asked.
pub static LISTED: Schema = Schema {
    key: Field::uuid_name("name", "id", "users").internal(),
    fields: &[
        Field::text("email", "email").sortable(),
        Field::text("display_name", "display_name").sortable(),
        Field::choice("role", "role", "ROLE_", &[("CUSTOMER", "customer"), ("OPERATOR", "operator")]),
        Field::timestamp("create_time", "created_at").sortable(),
    ],
    // Ids rise with time: oldest first.
    order: "",
};
const LIST: Select = Select {
    columns: "id, email, display_name, role, version, created_at, updated_at",
    from: "users",
    given: "deleted_at IS NULL",
};

/// The unique constraints on addresses.
const EMAIL: [&str; 2] = ["users_email", "users_email_normalized"];

/// What a login is checked against.
pub struct Credentials {
    /// The user.
    pub id: Uuid,
    /// Its role.
    pub role: Role,
    /// The slow hash of its password.
    pub password_hash: Secret<String>,
}

/// A user to insert.
pub struct NewUser {
    /// Its id.
    pub id: Uuid,
    /// What was asked for.
    pub sign_up: SignUp,
    /// The slow hash of its password.
    pub password_hash: Secret<String>,
}

/// A password to set.
pub struct NewPassword {
    /// Its slow hash.
    pub hash: Secret<String>,
    /// The hash that it replaces and no other, where the caller had to prove the password behind it.
    pub proved: Option<Secret<String>>,
}

/// A user who stands in the way of a sign-up.
pub struct Known {
    /// The user.
    pub user: User,
    /// The key it signed up under.
    pub request_id: Option<String>,
    /// The hash of what it asked for.
    pub request_hash: Option<Vec<u8>>,
    /// The slow hash of its password; empty once deleted.
    pub password_hash: Secret<String>,
    /// Whether it is gone.
    pub deleted: bool,
}

/// What became of an insert.
pub enum Insertion {
    /// The user is there.
    Created(User),
    /// Others were faster: the holders of the request id and of the address.
    Taken(Vec<Known>),
}

/// The users.
#[derive(Clone)]
pub struct Users {
    system: Pool,
    own: Pool,
    outbox: Outbox,
    ids: Ids,
}

impl Users {
    /// `system` and `own` are the pools of the system and the user role.
    pub fn new(system: Pool, own: Pool, outbox: Outbox, ids: Ids) -> Self {
        Self { system, own, outbox, ids }
    }

    /// Any user, for operators.
    pub async fn get(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        self.system.query(GET, &[&id]).await?.first().map(user).transpose()
    }

    /// The caller themself, bound by row-level security.
    pub async fn get_own(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        self.own.query_as(id, GET, &[&id]).await?.first().map(user).transpose()
    }

    /// A page of users, with the token of the next.
    pub async fn list(&self, page: &Page) -> Result<(Vec<User>, String), StoreError> {
        let (rows, next) = flotilla_service::list::read(&self.system, page, &LIST, &[]).await?;
        Ok((rows.iter().map(user).collect::<Result<_, _>>()?, next))
    }

    /// The credentials for a login by an address; `forms` are the forms in which it may be stored.
    pub async fn credentials(&self, forms: &[String]) -> Result<Option<Credentials>, StoreError> {
        let rows = self.system.query(CREDENTIALS, &[&forms]).await?;
        let read = |row: &Row| {
            Ok(Credentials { id: row.get(0)?, role: role(row.get(1)?)?, password_hash: row.get::<String>(2)?.into() })
        };
        rows.first().map(read).transpose()
    }

    /// The address and the slow hash of the password of a user.
    pub async fn password_of(&self, id: Uuid) -> Result<Option<(Personal<String>, Secret<String>)>, StoreError> {
        let rows = self.system.query(PASSWORD, &[&id]).await?;
        let read = |row: &Row| Ok((row.get::<String>(0)?.into(), row.get::<String>(1)?.into()));
        rows.first().map(read).transpose()
    }

    /// Replaces `old` by another hash of the same password; false if the hash has changed meanwhile.
    pub async fn replace_hash(&self, id: Uuid, old: &Secret<String>, new: &Secret<String>) -> Result<bool, StoreError> {
        let tx = self.system.begin().await?;
        let replaced = tx.execute(REPLACE_HASH, &[&id, old.expose(), new.expose()]).await?;
        tx.commit().await?;
        Ok(replaced > 0)
    }

    /// The users that conflict with a sign-up: its address may be stored in more than one form.
    pub async fn known(&self, sign_up: &SignUp) -> Result<Vec<Known>, StoreError> {
        let forms = email::forms(sign_up.email.expose());
        let rows = self.system.query(SIGN_UPS, &[&sign_up.request_id, &forms]).await?;
        rows.iter().map(known).collect()
    }

    /// Inserts a user, with `UserCreated`. A repeat of the same insert finds itself.
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
        self.outbox.wake();
        Ok(Insertion::Created(user))
    }

    /// Changes a user as `decide` says over the locked row, with `UserUpdated`; nothing is written where it says
    /// nothing. A new password goes along with any change. Another password or role ends the user's sessions, which
    /// are returned.
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
            // Only the index knows of an address that another transaction takes at this moment.
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
        self.outbox.wake();
        Ok((user, ended))
    }

    /// Deletes a user where `check` agrees over the locked row, with `UserDeleted`. Returns the sessions that it ended.
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
        self.outbox.wake();
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

pub(super) fn role(text: &str) -> Result<Role, StoreError> {
    Role::parse(text).ok_or_else(|| StoreError::new(ErrorKind::Other, "the table holds an unknown role"))
}

fn user(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.get("id")?,
        email: row.get::<String>("email")?.into(),
        display_name: row.get::<String>("display_name")?.into(),
        role: role(row.get("role")?)?,
        version: row.get("version")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn known(row: &Row) -> Result<Known, StoreError> {
    Ok(Known {
        user: user(row)?,
        request_id: row.get("request_id")?,
        request_hash: row.get("request_hash")?,
        password_hash: row.get::<String>("password_hash")?.into(),
        deleted: row.get("deleted")?,
    })
}
