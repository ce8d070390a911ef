//! PostgreSQL errors, and what a caller may do about them.
//!
//! Callers should branch only on the kind. Messages contain the server's primary message and the constraint's name,
//! never the detail (which quotes rows).

use std::error::Error as StdError;
use std::fmt;

use deadpool::managed::PoolError;
use tokio_postgres::error::SqlState;

/// What an error means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The given values are invalid (SQLSTATE classes 22 and 23): retrying can't help.
    Data,
    /// Transactions conflicted (serialization, deadlock, lock wait): retry the whole transaction.
    Conflict,
    /// The server is unreachable, shutting down or out of resources, or the pool is exhausted.
    Unavailable,
    /// A statement ran longer than its deadline.
    Timeout,
    /// Anything else: an invalid statement, a missing privilege, a wrong type.
    Other,
}

impl ErrorKind {
    /// The kind in lower case, for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }
}

/// An error of PostgreSQL, of the connection to it, or of a pool.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    sql_state: Option<SqlState>,
    constraint: Option<String>,
    outcome_unknown: bool,
    stale_plan: bool,
    unfit_role: bool,
    unfit_schema: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a cause in the driver, for callers' own checks and for in-memory stores.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            sql_state: None,
            constraint: None,
            outcome_unknown: false,
            stale_plan: false,
            unfit_role: false,
            unfit_schema: false,
            source: None,
        }))
    }

    /// What the error means for the caller.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The server's five-letter code, if the server answered.
    #[must_use]
    pub fn sql_state(&self) -> Option<&str> {
        self.0.sql_state.as_ref().map(SqlState::code)
    }

    /// The constraint that was violated.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.0.constraint.as_deref()
    }

    /// Whether the whole transaction may be retried: true for conflicts and unavailability.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Conflict | ErrorKind::Unavailable)
    }

    /// Whether the connection broke during a commit, so that the transaction may have been applied. A retry must then
    /// find its own earlier work by a key.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        self.0.outcome_unknown
    }

    /// Whether the address names a role that the pool must not use, so that retrying doesn't help.
    #[must_use]
    pub fn is_unfit_role(&self) -> bool {
        self.0.unfit_role
    }

    /// Whether the database's schema doesn't suit the program, so that retrying doesn't help.
    #[must_use]
    pub fn is_unfit_schema(&self) -> bool {
        self.0.unfit_schema
    }

    pub(crate) fn unfit_schema(message: String) -> Self {
        let mut error = Self::new(ErrorKind::Other, message);
        error.0.unfit_schema = true;
        error
    }

    pub(crate) fn of_unfit_role(mut self) -> Self {
        self.0.unfit_role = true;
        self
    }

    /// Whether the server answered, so that the connection's protocol state is known.
    pub(crate) fn answered(&self) -> bool {
        self.0.sql_state.is_some() && !self.0.stale_plan && self.0.kind != ErrorKind::Unavailable
    }

    /// Whether the connection's prepared statements no longer match the schema, so that it must not be reused.
    pub(crate) fn is_stale(&self) -> bool {
        self.0.stale_plan
    }

    /// Marks the error as one during a commit. A session that the server terminates may have committed just before.
    pub(crate) fn while_committing(mut self) -> Self {
        self.0.outcome_unknown = match self.0.kind {
            ErrorKind::Unavailable => true,
            ErrorKind::Timeout => self.0.sql_state.is_none(),
            ErrorKind::Data | ErrorKind::Conflict | ErrorKind::Other => false,
        };
        self
    }

    pub(crate) fn slow(what: &str) -> Self {
        Self::new(ErrorKind::Timeout, format!("no answer in time to {what}"))
    }

    pub(crate) fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let mut error = Self::new(kind, message);
        error.0.source = Some(source.into());
        error
    }
}

/// Maps an SQLSTATE to its kind.
fn classify(state: &SqlState) -> ErrorKind {
    match state.code() {
        "40001" | "40P01" | "55P03" => ErrorKind::Conflict,
        "57014" => ErrorKind::Timeout,
        // 25P03 and 57P05: the server ended an idle session; 25006: the connection leads to a server that has become a
        // standby; 40003: the server can't tell whether the statement completed; 26000: a pooler in between lost our
        // prepared statement.
        "25P03" | "25P04" | "25006" | "40003" | "26000" | "57P01" | "57P02" | "57P03" | "57P05" => {
            ErrorKind::Unavailable
        }
        code => match &code[..code.len().min(2)] {
            "22" | "23" => ErrorKind::Data,
            "08" | "53" | "58" => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        },
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let kind = if is_connection_trouble(&error) { ErrorKind::Unavailable } else { ErrorKind::Other };
            let message = match error.source() {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            };
            return Self::with_source(kind, message, error);
        };
        // After a migration, a statement prepared earlier may no longer match the schema; a new connection prepares it
        // again.
        let stale_plan = *db.code() == SqlState::FEATURE_NOT_SUPPORTED && db.message().starts_with("cached plan");
        let kind = if stale_plan { ErrorKind::Unavailable } else { classify(db.code()) };
        let message = match db.constraint() {
            Some(constraint) => format!("{} ({}, constraint {constraint})", db.message(), db.code().code()),
            None => format!("{} ({})", db.message(), db.code().code()),
        };
        Self(Box::new(Inner {
            kind,
            message,
            sql_state: Some(db.code().clone()),
            constraint: db.constraint().map(str::to_owned),
            outcome_unknown: false,
            stale_plan,
            unfit_role: false,
            unfit_schema: false,
            source: Some(Box::new(error)),
        }))
    }
}

/// The driver's own kinds are private: I/O errors are recognised by their cause, the others by their text.
fn is_connection_trouble(error: &tokio_postgres::Error) -> bool {
    error.is_closed()
        || error.source().is_some_and(<dyn StdError>::is::<std::io::Error>)
        || matches!(error.to_string().as_str(), "timeout waiting for server" | "error connecting to server")
}

impl From<PoolError<Self>> for Error {
    fn from(error: PoolError<Self>) -> Self {
        match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => {
                Self::with_source(ErrorKind::Unavailable, format!("no connection in time: {error}"), error)
            }
            error => Self::with_source(ErrorKind::Unavailable, error.to_string(), error),
        }
    }
}

impl From<refinery::Error> for Error {
    fn from(error: refinery::Error) -> Self {
        let message = error.to_string();
        let driver = match error.kind() {
            refinery::error::Kind::Connection(_, cause) => cause.downcast_ref::<tokio_postgres::Error>(),
            _ => None,
        };
        let state = driver.and_then(|error| error.code().cloned());
        let kind = match (&state, driver) {
            (Some(state), _) => classify(state),
            (None, Some(driver)) if is_connection_trouble(driver) => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        };
        let detail = driver.and_then(tokio_postgres::Error::as_db_error).map(ToString::to_string);
        let mut converted = Self::with_source(
            kind,
            match detail {
                Some(detail) => format!("{message}: {detail}"),
                None => message,
            },
            error,
        );
        converted.0.sql_state = state;
        converted
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("outcome_unknown", &self.0.outcome_unknown)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(code: &str) -> ErrorKind {
        classify(&SqlState::from_code(code))
    }

    #[test]
    fn classes_22_and_23_blame_the_data() {
        for code in ["22001", "22003", "22P02", "23505", "23503", "23514", "23502"] {
            assert_eq!(kind_of(code), ErrorKind::Data, "{code}");
        }
    }

    #[test]
    fn conflicts_and_unavailability_may_be_retried() {
        for code in ["40001", "40P01", "55P03"] {
            assert_eq!(kind_of(code), ErrorKind::Conflict, "{code}");
        }
        for code in ["08006", "53300", "53100", "57P01", "57P02", "57P03", "25006", "58030"] {
            assert_eq!(kind_of(code), ErrorKind::Unavailable, "{code}");
        }
        assert!(Error::new(ErrorKind::Conflict, "").may_retry());
        assert!(Error::new(ErrorKind::Unavailable, "").may_retry());
    }

    #[test]
    fn wrong_statements_and_slow_ones_are_not_retried() {
        assert_eq!(kind_of("57014"), ErrorKind::Timeout);
        for code in ["42601", "42P01", "42501", "28P01", "3D000", "XX000", "25P02"] {
            assert_eq!(kind_of(code), ErrorKind::Other, "{code}");
        }
        for kind in [ErrorKind::Data, ErrorKind::Timeout, ErrorKind::Other] {
            assert!(!Error::new(kind, "").may_retry());
        }
    }
}
