//! `fleet token`: an access token on standard output, for tools such as grpcurl and curl.

use anyhow::Result;
use clap::Args;
use flotilla_workload::client::Api;

use super::workload::fleet;
use crate::home::Home;

/// Options of `fleet token`.
#[derive(Args, Clone)]
pub struct Options {
    /// E-mail address of the user to sign in (default: the operator).
    #[arg(long = "as", value_name = "EMAIL", requires = "password")]
    pub email: Option<String>,
    /// Password of the user in --as.
    #[arg(long, env = "FLOTILLA_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("email", &self.email).finish_non_exhaustive()
    }
}

/// Signs in and prints the token, which is valid for a few minutes.
///
/// # Errors
/// When no fleet is up or the credentials are refused.
pub async fn run(home: &Home, options: &Options) -> Result<()> {
    let fleet = fleet(home)?;
    let api = Api::of(&fleet)?;
    let session = match (&options.email, &options.password) {
        (Some(email), Some(password)) => api.sign_in(email, password).await?,
        _ => api.operator(&fleet).await?,
    };
    let authorization = session.authorization();
    println!("{}", authorization.to_str()?.trim_start_matches("Bearer "));
    Ok(())
}
