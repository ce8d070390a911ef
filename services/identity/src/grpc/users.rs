//! `UserService`: customers see and change only themselves, operators all users.

use std::{net::IpAddr, sync::Arc, time::Duration};

use flotilla_auth::{Authenticator, Caller};
use flotilla_clock::Ids;
use flotilla_listing::{etag, page};
use flotilla_postgres::retry;
use flotilla_proto::identity::v1::{
    CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse, UpdateUserRequest,
    User as UserMessage, user_service_server::UserService,
};
use flotilla_redact::Secret;
use flotilla_rpc::{caller, invalid, name};
use flotilla_service::PageKey;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{address_of, convert, remaining};
use crate::{
    attempts::{Attempt, Attempts},
    domain::{Change, Role, SignUp, User},
    error::Error,
    passwords::{Checked, Passwords},
    storage::{Insertion, Known, LISTED, NewPassword, NewUser, Users},
};

const COLLECTION: &str = "users";
const PAGE: u32 = 50;
const MAX_PAGE: u32 = 1_000;

/// The origin of a sign-up.
#[derive(Clone, Copy)]
struct Origin {
    operator: bool,
    address: Option<IpAddr>,
}

/// The service.
pub struct UserApi {
    users: Users,
    passwords: Arc<Passwords>,
    attempts: Arc<Attempts>,
    page_key: PageKey,
    authenticator: Authenticator,
    ids: Ids,
}

impl UserApi {
    /// Creates the service on the users; `page_key` signs the page tokens, `authenticator` checks the tokens of this
    /// process's callers.
    pub fn new(
        users: Users,
        (passwords, attempts): (Arc<Passwords>, Arc<Attempts>),
        page_key: PageKey,
        authenticator: Authenticator,
        ids: Ids,
    ) -> Self {
        Self { users, passwords, attempts, page_key, authenticator, ids }
    }

    async fn create(&self, request: CreateUserRequest, by: Origin, deadline: Duration) -> Result<User, Error> {
        let (sign_up, password) = SignUp::from_request(&request)?;
        let given = Secret::new(request.user.map(|user| user.password).unwrap_or_default());
        if sign_up.role == Role::Operator && !by.operator {
            return Err(Error::RoleNeedsOperator);
        }
        // Looked up first: hashing a password is by far the most expensive step, and a repeat doesn't need it.
        let known = retry(deadline, || self.users.known(&sign_up)).await?;
        if !known.is_empty() {
            return self.repeated(&sign_up, given, known, (by, deadline)).await;
        }
        let password_hash = self.passwords.hash(password).await?;
        let new = NewUser { id: self.ids.next(), sign_up, password_hash };
        match self.users.insert(&new, deadline).await? {
            Insertion::Created(user) => Ok(user),
            Insertion::Taken(known) => self.repeated(&new.sign_up, given, known, (by, deadline)).await,
        }
    }

    /// The user created earlier by the same sign-up, or why this one can't be accepted. The result reveals whether the
    /// password is correct, so wrong passwords count as failed log-ins.
    async fn repeated(
        &self,
        sign_up: &SignUp,
        password: Secret<String>,
        known: Vec<Known>,
        (by, deadline): (Origin, Duration),
    ) -> Result<User, Error> {
        let same_key = |known: &Known| sign_up.request_id.is_some() && known.request_id == sign_up.request_id;
        let Some(earlier) = known.into_iter().find(same_key) else { return Err(Error::EmailTaken) };
        let same = !earlier.deleted && earlier.request_hash.as_deref() == Some(&sign_up.hash()[..]);
        if !same {
            return Err(Error::KeyReused);
        }
        let attempt = Attempt::new(sign_up.email.expose(), by.address);
        let account = Some((earlier.user.id, earlier.password_hash));
        match self.attempts.check(&attempt, password, account, deadline).await? {
            Checked::Wrong => Err(Error::KeyReused),
            Checked::Right | Checked::RightUnprepared(_) => Ok(earlier.user),
        }
    }

    /// A user who changes their own password must send the current one, so that a stolen token isn't enough to take
    /// over the account. Operators don't need other users' passwords, so that they can reset forgotten ones. Returns
    /// the hash of the password that was sent.
    async fn prove(
        &self,
        change: &Change,
        (id, caller): (Uuid, Caller),
        address: Option<IpAddr>,
        deadline: Duration,
    ) -> Result<Option<Secret<String>>, Error> {
        if change.password.is_none() || caller.user != id {
            return Ok(None);
        }
        let Some(current) = change.current_password.clone() else {
            return Err(invalid("user.current_password", "must be set to change the password").into());
        };
        let found = retry(deadline, || self.users.password_of(id)).await?;
        let (email, hash) = found.ok_or(Error::NotFound(id))?;
        let attempt = Attempt::new(email.expose(), address);
        match self.attempts.check(&attempt, current, Some((id, hash.clone())), deadline).await? {
            Checked::Wrong => Err(Error::WrongCurrentPassword),
            Checked::Right | Checked::RightUnprepared(_) => Ok(Some(hash)),
        }
    }

    /// Reads are retried while the database is unavailable: a failover within the deadline isn't an error.
    async fn read(&self, id: Uuid, caller: Caller, deadline: Duration) -> Result<User, Error> {
        let user = if caller.is_operator() {
            retry(deadline, || self.users.get(id)).await?
        } else if caller.user == id {
            retry(deadline, || self.users.get_own(id)).await?
        } else {
            None
        };
        user.ok_or(Error::NotFound(id))
    }

    async fn list(&self, request: ListUsersRequest, deadline: Duration) -> Result<ListUsersResponse, Error> {
        let ListUsersRequest { page_size, page_token, filter, order_by } = request;
        let listing = LISTED.parse(&filter, &order_by)?;
        let size = page::size(page_size, PAGE, MAX_PAGE)?;
        let tokens = retry(deadline, || self.page_key.tokens()).await?;
        let page = listing.page(tokens, &["ListUsers"], &page_token, size)?;
        let (users, next_page_token) = retry(deadline, || self.users.list(&page)).await?;
        Ok(ListUsersResponse { users: users.into_iter().map(convert::user).collect(), next_page_token })
    }

    async fn change(
        &self,
        request: UpdateUserRequest,
        caller: Caller,
        address: Option<IpAddr>,
        deadline: Duration,
    ) -> Result<User, Error> {
        let given = request.user.ok_or_else(|| invalid("user", "must be set"))?;
        let id = name::parse_uuid("user.name", COLLECTION, &given.name)?;
        let change = Change::from_request(&given, request.update_mask.as_ref())?;
        may_touch(caller, id)?;
        let proved = self.prove(&change, (id, caller), address, deadline).await?;
        let password = match change.password.clone() {
            Some(password) => Some(NewPassword { hash: self.passwords.hash(password).await?, proved }),
            None => None,
        };
        let decide = |user: &User| {
            etag::check(&given.etag, user.version, etag::time(user.updated_at))?;
            Ok(change.apply(user, caller.is_operator())?)
        };
        let (user, ended) = self.users.update(id, password.as_ref(), deadline, decide).await?;
        self.authenticator.revoke(&ended);
        Ok(user)
    }

    async fn delete(&self, request: DeleteUserRequest, caller: Caller, deadline: Duration) -> Result<(), Error> {
        let id = name::parse_uuid("name", COLLECTION, &request.name)?;
        may_touch(caller, id)?;
        let check = |user: &User| Ok(etag::check(&request.etag, user.version, etag::time(user.updated_at))?);
        let ended = self.users.delete(id, deadline, check).await?;
        self.authenticator.revoke(&ended);
        Ok(())
    }
}

/// Customers may access only themselves and can't learn whether other users exist.
fn may_touch(caller: Caller, id: Uuid) -> Result<(), Error> {
    if caller.is_operator() || caller.user == id { Ok(()) } else { Err(Error::NotFound(id)) }
}

#[tonic::async_trait]
impl UserService for UserApi {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<UserMessage>, Status> {
        let operator = caller(&request).is_ok_and(|caller| caller.is_operator());
        let (by, deadline) = (Origin { operator, address: address_of(&request) }, remaining());
        let user = self.create(request.into_inner(), by, deadline).await?;
        Ok(Response::new(convert::user(user)))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<UserMessage>, Status> {
        let (caller, deadline) = (caller(&request)?, remaining());
        let id = name::parse_uuid("name", COLLECTION, &request.get_ref().name)?;
        Ok(Response::new(convert::user(self.read(id, caller, deadline).await?)))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        let deadline = remaining();
        Ok(Response::new(self.list(request.into_inner(), deadline).await?))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<UserMessage>, Status> {
        let (caller, address, deadline) = (caller(&request)?, address_of(&request), remaining());
        Ok(Response::new(convert::user(self.change(request.into_inner(), caller, address, deadline).await?)))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<()>, Status> {
        let (caller, deadline) = (caller(&request)?, remaining());
        self.delete(request.into_inner(), caller, deadline).await?;
        Ok(Response::new(()))
    }
}
