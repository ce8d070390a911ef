//! `AuthService`: log-in, sessions and the keys that verify tokens.

use std::{net::IpAddr, sync::Arc, time::Duration};

use flotilla_auth::{Authenticator, Caller, Revoked};
use flotilla_clock::Ids;
use flotilla_listing::page;
use flotilla_postgres::retry;
use flotilla_proto::identity::v1::{
    DeleteSessionRequest, GetJsonWebKeySetRequest, JsonWebKey, JsonWebKeySet, ListRevokedSessionsRequest,
    ListRevokedSessionsResponse, ListSessionsRequest, ListSessionsResponse, LoginRequest, LoginResponse, LogoutRequest,
    RefreshTokenRequest, RotateSigningKeyRequest, auth_service_server::AuthService,
};
use flotilla_redact::Secret;
use flotilla_rpc::{caller, invalid, name};
use flotilla_service::PageKey;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    address_of,
    convert::{self, caller_role, session_name, user_name},
    remaining,
};
use crate::{
    attempts::{Attempt, Attempts},
    domain::{
        email,
        session::{Lifetimes, REFRESH_TOKEN_BYTES, Refusal, Times, check_label, refresh_hash, refresh_token},
    },
    error::Error,
    passwords::{Checked, Passwords},
    rotation::Rotation,
    storage::{BadCursor, Carried, Credentials, Exchange, NewSession, RevokedSessions, Sessions, Users},
};

/// Default and maximum page size of sessions.
const PAGE: u32 = 50;
const MAX_PAGE: u32 = 1_000;

/// The service.
pub struct Auth {
    /// The users.
    pub users: Users,
    /// Their sessions.
    pub sessions: Sessions,
    /// The sessions that were ended early.
    pub revoked: RevokedSessions,
    /// Hashes passwords.
    pub passwords: Arc<Passwords>,
    /// Checks passwords and throttles wrong ones.
    pub attempts: Arc<Attempts>,
    /// Signs tokens.
    pub rotation: Rotation,
    /// Checks the tokens of this process's callers; is told at once when a session is ended here.
    pub authenticator: Authenticator,
    /// The lifetimes of sessions and tokens.
    pub lifetimes: Lifetimes,
    /// Signs the page tokens.
    pub page_key: PageKey,
    /// The source of ids and time.
    pub ids: Ids,
}

impl Auth {
    async fn log_in(
        &self,
        request: LoginRequest,
        address: Option<IpAddr>,
        deadline: Duration,
    ) -> Result<LoginResponse, Error> {
        let LoginRequest { email, password, client_label } = request;
        check_label(&client_label).map_err(|violation| vec![violation])?;
        // An invalid address needs no lookup; the password is hashed anyway, so that the response takes as long.
        let plausible = !email.contains(char::is_control);
        let forms = email::forms(&email);
        let attempt = Attempt::new(&email, address);
        self.attempts.recall(&attempt)?;
        let found = if plausible { retry(deadline, || self.users.credentials(&forms)).await? } else { None };
        let account = found.as_ref().map(|credentials| (credentials.id, credentials.password_hash.clone()));
        let checked = self.attempts.check(&attempt, password.into(), account, deadline).await?;
        let Some(mut credentials) = found.filter(|_| checked != Checked::Wrong) else {
            return Err(Error::BadCredentials);
        };
        if let Checked::RightUnprepared(prepared) = checked {
            self.prepare_hash(&mut credentials, prepared, deadline).await?;
        }
        let (times, refresh) = (self.lifetimes.from(self.ids.now()), self.new_refresh_token());
        let session = NewSession {
            id: self.ids.next(),
            client_label,
            user: credentials.id,
            role: credentials.role,
            password_hash: credentials.password_hash,
            refresh: refresh_hash(refresh.expose()),
        };
        if !self.sessions.open(&session, times, deadline).await? {
            return Err(Error::BadCredentials);
        }
        let carried = Carried { session: session.id, user: session.user, role: session.role };
        self.pair(carried, refresh, times, deadline).await
    }

    /// After a log-in with an unnormalized password, replaces its hash by the hash of the normalized form: from then on
    /// every normal form is accepted.
    async fn prepare_hash(
        &self,
        credentials: &mut Credentials,
        prepared: Secret<String>,
        deadline: Duration,
    ) -> Result<(), Error> {
        let hash = self.passwords.hash(prepared).await?;
        if retry(deadline, || self.users.replace_hash(credentials.id, &credentials.password_hash, &hash)).await? {
            credentials.password_hash = hash;
        }
        Ok(())
    }

    async fn carry_on(&self, shown: &str, address: Option<IpAddr>, deadline: Duration) -> Result<LoginResponse, Error> {
        // First, because the exchange uses up the presented token.
        self.rotation.freshen(deadline).await?;
        let (times, refresh) = (self.lifetimes.from(self.ids.now()), self.new_refresh_token());
        let (shown, next) = (refresh_hash(shown), refresh_hash(refresh.expose()));
        match self.sessions.exchange(&shown, &next, times, deadline).await? {
            Exchange::Done(carried) => {
                self.attempts.known_token();
                self.pair(carried, refresh, times, deadline).await
            }
            Exchange::Refused(refusal, ended) => {
                self.learn(ended.as_slice());
                if refusal == Refusal::Unknown {
                    self.attempts.unknown_token(address, deadline).await?;
                }
                Err(Error::Refresh(refusal))
            }
        }
    }

    fn new_refresh_token(&self) -> Secret<String> {
        let mut random = [0; REFRESH_TOKEN_BYTES];
        self.ids.random().fill(&mut random);
        refresh_token(&random).into()
    }

    async fn pair(
        &self,
        carried: Carried,
        refresh_token: Secret<String>,
        times: Times,
        deadline: Duration,
    ) -> Result<LoginResponse, Error> {
        let Carried { session, user, role } = carried;
        let caller =
            Caller { user, session, role: caller_role(role), expires: convert::whole_seconds(times.token_ends) };
        Ok(LoginResponse {
            access_token: self.rotation.sign(&caller, times.now, deadline).await?,
            token_type: "Bearer".to_owned(),
            expire_time: Some(caller.expires.into()),
            user: user_name(user),
            refresh_token: refresh_token.into_exposed(),
            refresh_expire_time: Some(times.session_ends.into()),
            session: session_name(session),
        })
    }

    /// Ends a session of `owner`, or of any user without `owner`.
    async fn end(&self, session: Uuid, owner: Option<Uuid>, deadline: Duration) -> Result<(), Error> {
        let ended = self.sessions.end(session, owner, self.ids.now(), deadline).await?;
        self.learn(&[ended.ok_or(Error::NoSession(session))?]);
        Ok(())
    }

    /// Other processes are told within seconds.
    fn learn(&self, ended: &[Revoked]) {
        self.authenticator.revoke(ended);
    }

    async fn list(
        &self,
        request: ListSessionsRequest,
        caller: Caller,
        deadline: Duration,
    ) -> Result<ListSessionsResponse, Error> {
        let query = page::fingerprint(&["ListSessions", &caller.user.to_string()]);
        let size = page::size(request.page_size, PAGE, MAX_PAGE)?;
        let tokens = retry(deadline, || self.page_key.tokens()).await?;
        let before = tokens.resume::<Uuid>(&request.page_token, &query)?.unwrap_or(Uuid::max());
        let now = self.ids.now();
        // One more than requested shows whether there is a next page.
        let list = || self.sessions.list_own(caller.user, before, now, i64::from(size) + 1);
        let mut sessions = retry(deadline, list).await?;
        let next_page_token = tokens.cut(&mut sessions, size, &query, |last| last.id);
        let sessions = sessions.into_iter().map(|session| convert::session(session, caller.session)).collect();
        Ok(ListSessionsResponse { sessions, next_page_token })
    }

    async fn list_revoked(&self, cursor: &str, deadline: Duration) -> Result<ListRevokedSessionsResponse, Error> {
        let cursor = cursor.parse().map_err(|error: BadCursor| invalid("cursor", error.to_string()))?;
        let (sessions, next) = retry(deadline, || self.revoked.since(cursor)).await?;
        let sessions = sessions.into_iter().map(Revoked::to_proto).collect();
        Ok(ListRevokedSessionsResponse { sessions, cursor: next.to_string() })
    }
}

#[tonic::async_trait]
impl AuthService for Auth {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let (address, deadline) = (address_of(&request), remaining());
        Ok(Response::new(self.log_in(request.into_inner(), address, deadline).await?))
    }

    async fn refresh_token(&self, request: Request<RefreshTokenRequest>) -> Result<Response<LoginResponse>, Status> {
        let (address, deadline) = (address_of(&request), remaining());
        Ok(Response::new(self.carry_on(&request.get_ref().refresh_token, address, deadline).await?))
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<()>, Status> {
        let (caller, deadline) = (caller(&request)?, remaining());
        self.end(caller.session, Some(caller.user), deadline).await?;
        Ok(Response::new(()))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let (caller, deadline) = (caller(&request)?, remaining());
        Ok(Response::new(self.list(request.into_inner(), caller, deadline).await?))
    }

    async fn delete_session(&self, request: Request<DeleteSessionRequest>) -> Result<Response<()>, Status> {
        let (caller, deadline) = (caller(&request)?, remaining());
        let session = name::parse_uuid("name", convert::SESSIONS, &request.get_ref().name)?;
        let owner = if caller.is_operator() { None } else { Some(caller.user) };
        self.end(session, owner, deadline).await?;
        Ok(Response::new(()))
    }

    async fn rotate_signing_key(&self, _: Request<RotateSigningKeyRequest>) -> Result<Response<JsonWebKey>, Status> {
        let deadline = remaining();
        Ok(Response::new(self.rotation.rotate(deadline).await?))
    }

    async fn get_json_web_key_set(
        &self,
        _: Request<GetJsonWebKeySetRequest>,
    ) -> Result<Response<JsonWebKeySet>, Status> {
        Ok(Response::new(JsonWebKeySet { keys: self.rotation.published() }))
    }

    async fn list_revoked_sessions(
        &self,
        request: Request<ListRevokedSessionsRequest>,
    ) -> Result<Response<ListRevokedSessionsResponse>, Status> {
        let deadline = remaining();
        Ok(Response::new(self.list_revoked(&request.get_ref().cursor, deadline).await?))
    }
}
