//! The section `secrets`: addresses of the stores and how to log in. It can't contain references itself.

use std::path::PathBuf;

use flotilla_config::{HumanDuration, Problems, SecretString, Setting, Url, Validate};

/// Secret stores that settings can refer to.
#[derive(Clone, Debug, Setting)]
#[setting(default)]
pub struct SecretsSettings {
    /// Maximum wait for a response of a store; default `5s`.
    pub deadline: HumanDuration,
    /// How often secrets without a lease are refreshed; default `1m`.
    pub refresh: HumanDuration,
    /// Vault or OpenBao.
    pub vault: VaultSettings,
    /// AWS Secrets Manager.
    pub aws: AwsSettings,
    /// Secrets of Kubernetes, read from its API.
    pub kubernetes: KubernetesSettings,
}

impl Default for SecretsSettings {
    fn default() -> Self {
        Self {
            deadline: HumanDuration::from_secs(5),
            refresh: HumanDuration::from_secs(60),
            vault: VaultSettings::default(),
            aws: AwsSettings::default(),
            kubernetes: KubernetesSettings::default(),
        }
    }
}

/// How a service authenticates to Vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Setting)]
#[setting(rename_all = "lowercase")]
pub enum VaultAuth {
    /// With a given token.
    #[default]
    Token,
    /// With the id of a role and a secret id.
    AppRole,
    /// With the token of its service account.
    Kubernetes,
}

/// Vault's address and how to log in.
#[derive(Clone, Debug, Default, Setting)]
#[setting(default)]
pub struct VaultSettings {
    /// Its address, such as `https://vault:8200`.
    #[setting(alias = "VAULT_ADDR")]
    pub address: Option<Url>,
    /// Namespace of every request.
    #[setting(alias = "VAULT_NAMESPACE")]
    pub namespace: Option<String>,
    /// CA file (PEM) that verifies its certificate; default: the system's.
    #[setting(alias = "VAULT_CACERT")]
    pub ca: Option<PathBuf>,
    /// How to log in: `token`, `approle` or `kubernetes`; default `token`.
    pub auth: VaultAuth,
    /// Mount point of the auth method; default `approle` or `kubernetes`.
    pub auth_mount: Option<String>,
    /// The token.
    #[setting(alias = "VAULT_TOKEN")]
    pub token: Option<SecretString>,
    /// File with the token, read again at each login, because an agent may replace it.
    pub token_path: Option<PathBuf>,
    /// Id of the role to log in as, for `approle`.
    pub role_id: Option<SecretString>,
    /// Secret id to log in with, for `approle`.
    pub secret_id: Option<SecretString>,
    /// Name of the role to log in as, for `kubernetes`.
    pub role: Option<String>,
    /// File with the service account's token, for `kubernetes`; default: where Kubernetes mounts it.
    pub service_account: Option<PathBuf>,
}

/// AWS Secrets Manager. Credentials are found in the same places as by AWS's own tools: `AWS_ACCESS_KEY_ID` and related
/// variables, a profile, a web identity, the container's or the machine's role.
#[derive(Clone, Debug, Default, Setting)]
#[setting(default)]
pub struct AwsSettings {
    /// The region; default: as determined by AWS's own tools.
    #[setting(alias = "AWS_REGION")]
    pub region: Option<String>,
    /// Overrides the region's address.
    #[setting(alias = "AWS_ENDPOINT_URL_SECRETS_MANAGER")]
    pub endpoint: Option<Url>,
}

/// Kubernetes' API server. The defaults are those of a pod with a service account.
#[derive(Clone, Debug, Default, Setting)]
#[setting(default)]
pub struct KubernetesSettings {
    /// Its address; default `https://kubernetes.default.svc`.
    pub address: Option<Url>,
    /// CA file (PEM) that verifies its certificate.
    pub ca: Option<PathBuf>,
    /// File with the service account's token, read for each request because Kubernetes replaces it.
    pub token_path: Option<PathBuf>,
}

impl Validate for SecretsSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.deadline.get().is_zero(), "deadline", "must be longer than 0s");
        problems.require(!self.refresh.get().is_zero(), "refresh", "must be longer than 0s");
    }
}

impl Validate for VaultSettings {}
impl Validate for AwsSettings {}
impl Validate for KubernetesSettings {}
