//! The user's own servers, named by the environment. This crate never starts, stops or changes them.

/// Addresses of servers that the user runs; callers use them instead of starting private ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct External {
    /// `FLOTILLA_USE_POSTGRES_URL`: a superuser's URL.
    pub postgres: Option<String>,
    /// `FLOTILLA_USE_NATS_URL`.
    pub nats: Option<String>,
    /// `FLOTILLA_USE_REDIS_URL`.
    pub redis: Option<String>,
}

impl External {
    /// Reads the three variables; an empty one counts as unset.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// For tests, which ignore the user's servers unless `FLOTILLA_TEST_USE=1`.
    #[must_use]
    pub fn for_tests() -> Self {
        if std::env::var("FLOTILLA_TEST_USE").is_ok_and(|value| value == "1") {
            Self::from_env()
        } else {
            Self::default()
        }
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| lookup(name).filter(|url| !url.trim().is_empty());
        Self {
            postgres: set("FLOTILLA_USE_POSTGRES_URL"),
            nats: set("FLOTILLA_USE_NATS_URL"),
            redis: set("FLOTILLA_USE_REDIS_URL"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let external = External::from_lookup(|name| match name {
            "FLOTILLA_USE_NATS_URL" => Some("nats://127.0.0.1:4222".into()),
            "FLOTILLA_USE_REDIS_URL" => Some("  ".into()),
            _ => None,
        });
        assert_eq!(external.nats.as_deref(), Some("nats://127.0.0.1:4222"));
        assert_eq!(external.redis, None);
        assert_eq!(external.postgres, None);
    }
}
