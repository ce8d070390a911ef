//! `AuthService`: sign-in, and the keys that verify tokens.

use std::{sync::Arc, time::Duration};

use flotilla_messaging::Ids;
use flotilla_postgres::retry;
use flotilla_proto::identity::v1::{
    GetJsonWebKeySetRequest, JsonWebKeySet, LoginRequest, LoginResponse, auth_service_server::AuthService,
};
use flotilla_rpc::Violations;
use tonic::{Request, Response, Status};

use super::{
    convert::{caller_role, user_name},
    remaining,
};
use crate::{error::Error, keys::SigningKeys, passwords::Passwords, storage::Users};

/// Longest address that is looked up, in bytes.
const MAX_EMAIL: usize = 254;

/// The service.
pub struct Auth {
    users: Users,
    passwords: Arc<Passwords>,
    keys: Arc<SigningKeys>,
    ids: Ids,
}

impl Auth {
    /// Over the users, with the keys that sign.
    pub fn new(users: Users, passwords: Arc<Passwords>, keys: Arc<SigningKeys>, ids: Ids) -> Self {
        Self { users, passwords, keys, ids }
    }

    async fn log_in(&self, request: LoginRequest, deadline: Duration) -> Result<LoginResponse, Error> {
        let LoginRequest { email, password } = request;
        let mut violations = Violations::new();
        violations.check(!email.is_empty(), "email", "must be set");
        violations.check(!password.is_empty(), "password", "must be set");
        violations.finish()?;
        // What can't be an address needs no look; the work on its password is done all the same.
        let plausible = email.len() <= MAX_EMAIL && !email.contains(char::is_control);
        let found = if plausible { retry(deadline, || self.users.credentials(&email)).await? } else { None };
        let hash = found.as_ref().map(|credentials| credentials.password_hash.clone());
        let right = self.passwords.verify(password, hash).await?;
        let Some(credentials) = found.filter(|_| right) else { return Err(Error::BadCredentials) };
        let token = self.keys.sign(credentials.id, caller_role(credentials.role), self.ids.now());
        Ok(LoginResponse {
            access_token: token.text,
            token_type: "Bearer".to_owned(),
            expire_time: Some(token.expires.into()),
            user: user_name(credentials.id),
        })
    }
}

#[tonic::async_trait]
impl AuthService for Auth {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let deadline = remaining();
        Ok(Response::new(self.log_in(request.into_inner(), deadline).await?))
    }

    async fn get_json_web_key_set(
        &self,
        _: Request<GetJsonWebKeySetRequest>,
    ) -> Result<Response<JsonWebKeySet>, Status> {
        Ok(Response::new(JsonWebKeySet { keys: self.keys.published() }))
    }
}
