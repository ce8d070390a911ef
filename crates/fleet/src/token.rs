//! `fleet token`: an access token on standard output, for tools such as grpcurl and curl.

use anyhow::Result;
use clap::Args;

use crate::{client::Api, home::Home};

/// What `fleet token` is told.
#[derive(Args, Clone)]
pub struct Options {
    /// Whose token: who signs in with this e-mail address; the operator's where absent.
    #[arg(long = "as", value_name = "EMAIL", requires = "password")]
    pub email: Option<String>,
    /// The password to sign in with, where it isn't the operator.
    #[arg(long, env = "FLOTILLA_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("email", &self.email).finish_non_exhaustive()
    }
}

/// Signs in and prints the token, which counts for some minutes.
///
/// # Errors
/// When no fleet is up or the credentials are refused.
pub async fn run(home: &Home, options: &Options) -> Result<()> {
    let api = Api::of(home)?;
    let session = match (&options.email, &options.password) {
        (Some(email), Some(password)) => api.sign_in(email, password).await?,
        _ => api.operator(home).await?,
    };
    let authorization = session.authorization();
    println!("{}", authorization.to_str()?.trim_start_matches("Bearer "));
    Ok(())
}
