//! The `postgres` section of a service's settings.

use std::time::Duration;

use flotilla_config::{HumanDuration, Live, Problems, SecretString, Setting, Validate};

use crate::address::parse_url;
use crate::error::{Error, ErrorKind};

/// How much longer than the server's own limit the client waits for an answer.
const GRACE: Duration = Duration::from_secs(1);

/// How a service reaches its database. Variables: `FLOTILLA__POSTGRES__<FIELD>`; the addresses may come from files
/// (`FLOTILLA__POSTGRES__SYSTEM_URL_FILE`) or from a store of secrets, and may change while the service runs.
#[derive(Clone, Debug, Setting)]
pub struct PostgresSettings {
    /// Address as the owner of the database. Only `migrate` uses it: don't set it for serving processes.
    #[setting(default)]
    pub owner_url: Live<Option<SecretString>>,
    /// Address as `<service>_system`: batches, relay, saga.
    pub system_url: Live<SecretString>,
    /// Address as `<service>_user`: customers' calls, under row-level security.
    pub user_url: Live<SecretString>,
    /// Address as a superuser. If set, `migrate` first creates the database and the three roles if they are missing,
    /// with the passwords from the other addresses.
    #[setting(default)]
    pub superuser_url: Option<SecretString>,
    /// Maximum number of connections per pool; at most four per CPU.
    #[setting(default = "default_pool_size")]
    pub pool_size: usize,
    /// Maximum wait for a new connection.
    #[setting(default = "default_connect_timeout")]
    pub connect_timeout: HumanDuration,
    /// Maximum duration of a statement, enforced by the server and checked by the client.
    #[setting(default = "default_statement_timeout")]
    pub statement_timeout: HumanDuration,
    /// Maximum wait for a free connection of the pool.
    #[setting(default = "default_acquire_timeout")]
    pub acquire_timeout: HumanDuration,
    /// Age at which a connection is replaced when it is next requested.
    #[setting(default = "default_max_lifetime")]
    pub max_lifetime: HumanDuration,
    /// Maximum wait of `await-migrations`.
    #[setting(default = "default_migration_wait")]
    pub migration_wait: HumanDuration,
    /// Maximum wait of a migration's statement for a lock, during which later statements on the table wait too. The
    /// migration is then rolled back and tried again, up to twenty times.
    #[setting(default = "default_migration_lock_timeout")]
    pub migration_lock_timeout: HumanDuration,
    /// Maximum duration of a migration's statement.
    #[setting(default = "default_migration_statement_timeout")]
    pub migration_statement_timeout: HumanDuration,
}

impl PostgresSettings {
    /// The default settings with these three addresses.
    #[must_use]
    pub fn new(owner_url: SecretString, system_url: SecretString, user_url: SecretString) -> Self {
        Self {
            owner_url: Some(owner_url).into(),
            system_url: system_url.into(),
            user_url: user_url.into(),
            superuser_url: None,
            pool_size: default_pool_size(),
            connect_timeout: default_connect_timeout(),
            statement_timeout: default_statement_timeout(),
            acquire_timeout: default_acquire_timeout(),
            max_lifetime: default_max_lifetime(),
            migration_wait: default_migration_wait(),
            migration_lock_timeout: default_migration_lock_timeout(),
            migration_statement_timeout: default_migration_statement_timeout(),
        }
    }

    /// How long a client waits for the answer to a statement: slightly longer than the server's limit.
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.statement_timeout.get() + GRACE
    }

    /// The address used for migrations.
    ///
    /// # Errors
    /// No address is set.
    pub fn owner(&self) -> Result<SecretString, Error> {
        let missing = || Error::new(ErrorKind::Other, "postgres.owner_url isn't set: only the owner may migrate");
        self.owner_url.get().ok_or_else(missing)
    }
}

const fn default_pool_size() -> usize {
    8
}

const fn default_connect_timeout() -> HumanDuration {
    HumanDuration::from_secs(3)
}

const fn default_statement_timeout() -> HumanDuration {
    HumanDuration::from_secs(5)
}

const fn default_acquire_timeout() -> HumanDuration {
    HumanDuration::from_secs(2)
}

const fn default_max_lifetime() -> HumanDuration {
    HumanDuration::from_secs(1_800)
}

const fn default_migration_wait() -> HumanDuration {
    HumanDuration::from_secs(300)
}

/// Less than half of the default timeout of the statements that wait behind it.
const fn default_migration_lock_timeout() -> HumanDuration {
    HumanDuration::from_secs(2)
}

/// More than a migration takes that locks several tables in short tries.
const fn default_migration_statement_timeout() -> HumanDuration {
    HumanDuration::from_secs(120)
}

impl PostgresSettings {
    /// Separate roles give no protection if two addresses name the same role.
    fn refuse_same_role(&self, problems: &mut Problems) {
        let role = |url: Option<SecretString>| parse_url(&url?).ok()?.get_user().map(str::to_owned);
        let named = [
            ("user_url", role(Some(self.user_url.get()))),
            ("system_url", role(Some(self.system_url.get()))),
            ("owner_url", role(self.owner_url.get())),
            ("superuser_url", role(self.superuser_url.clone())),
        ];
        for (at, (name, role)) in named.iter().enumerate() {
            let same = named[at + 1..].iter().find(|(_, other)| role.is_some() && role == other);
            if let Some((other, _)) = same {
                problems.add(name, format!("must not name the same role as {other}"));
            }
        }
    }
}

impl Validate for PostgresSettings {
    fn validate(&self, problems: &mut Problems) {
        for (name, url) in [
            ("owner_url", self.owner_url.get()),
            ("system_url", Some(self.system_url.get())),
            ("user_url", Some(self.user_url.get())),
            ("superuser_url", self.superuser_url.clone()),
        ] {
            let Some(url) = url else { continue };
            problems.require(
                parse_url(&url).is_ok(),
                name,
                "expected an address such as postgresql://user:password@host:5432/database",
            );
        }
        self.refuse_same_role(problems);
        problems.require((1..=1_000).contains(&self.pool_size), "pool_size", "must be from 1 to 1000");
        for (name, wait) in [
            ("connect_timeout", self.connect_timeout),
            ("statement_timeout", self.statement_timeout),
            ("acquire_timeout", self.acquire_timeout),
            ("max_lifetime", self.max_lifetime),
            ("migration_wait", self.migration_wait),
            ("migration_lock_timeout", self.migration_lock_timeout),
            ("migration_statement_timeout", self.migration_statement_timeout),
        ] {
            problems.require(!wait.get().is_zero(), name, "must be longer than 0s");
        }
    }
}
