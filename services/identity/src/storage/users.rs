//! The table `users`.

mod changes;

use flotilla_clock::Ids;
use flotilla_listing::{Field, Page, Schema, Select};
use flotilla_messaging::Outbox;
use flotilla_postgres::{Error as StoreError, ErrorKind, Pool, Row};
use flotilla_redact::{Personal, Secret};
use uuid::Uuid;

pub use self::changes::{Insertion, NewPassword, NewUser};
use crate::domain::{Role, SignUp, User, email};

const GET: &str = include_str!("../../queries/get_user.sql");
const CREDENTIALS: &str = include_str!("../../queries/find_credentials.sql");
const SIGN_UPS: &str = include_str!("../../queries/find_sign_ups.sql");
const PASSWORD: &str = include_str!("../../queries/get_password_hash.sql");
const REPLACE_HASH: &str = include_str!("../../queries/replace_password_hash.sql");

/// The fields that `ListUsers` filters and sorts by.
pub static LISTED: Schema = Schema {
    key: Field::uuid_name("name", "id", "users").internal(),
    fields: &[
        Field::text("email", "email").sortable(),
        Field::text("display_name", "display_name").sortable(),
        Field::choice("role", "role", "ROLE_", &[("CUSTOMER", "customer"), ("OPERATOR", "operator")]),
        Field::timestamp("create_time", "created_at").sortable(),
    ],
    // Ids increase with time: oldest first.
    order: "",
};
const LIST: Select = Select {
    columns: "id, email, display_name, role, version, created_at, updated_at",
    from: "users",
    given: "deleted_at IS NULL",
};

/// The stored credentials for checking a log-in.
pub struct Credentials {
    /// The user.
    pub id: Uuid,
    /// Its role.
    pub role: Role,
    /// The slow hash of its password.
    pub password_hash: Secret<String>,
}

/// A user who conflicts with a sign-up.
pub struct Known {
    /// The user.
    pub user: User,
    /// The key it signed up under.
    pub request_id: Option<String>,
    /// The hash of its sign-up request.
    pub request_hash: Option<Vec<u8>>,
    /// The slow hash of its password; empty once deleted.
    pub password_hash: Secret<String>,
    /// Whether the user is deleted.
    pub deleted: bool,
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

    /// The caller's own user, under row-level security.
    pub async fn get_own(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        self.own.query_as(id, GET, &[&id]).await?.first().map(user).transpose()
    }

    /// A page of users, with the token of the next.
    pub async fn list(&self, page: &Page) -> Result<(Vec<User>, String), StoreError> {
        let (rows, next) = flotilla_service::list::read(&self.system, page, &LIST, &[]).await?;
        Ok((rows.iter().map(user).collect::<Result<_, _>>()?, next))
    }

    /// The credentials for a log-in with an address; `forms` are the forms in which it may be stored.
    pub async fn credentials(&self, forms: &[String]) -> Result<Option<Credentials>, StoreError> {
        let rows = self.system.query(CREDENTIALS, &[&forms]).await?;
        let read = |row: &Row| {
            Ok(Credentials { id: row.get(0)?, role: role(row.get(1)?)?, password_hash: row.get::<String>(2)?.into() })
        };
        rows.first().map(read).transpose()
    }

    /// The address and the slow password hash of a user.
    pub async fn password_of(&self, id: Uuid) -> Result<Option<(Personal<String>, Secret<String>)>, StoreError> {
        let rows = self.system.query(PASSWORD, &[&id]).await?;
        let read = |row: &Row| Ok((row.get::<String>(0)?.into(), row.get::<String>(1)?.into()));
        rows.first().map(read).transpose()
    }

    /// Replaces `old` with another hash of the same password; false if the hash has changed meanwhile.
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
