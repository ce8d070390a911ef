//! Why the contracts can't be served.

use super::template::TemplateError;

/// Why the contracts can't be served.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The descriptor set lacks the option's definition or holds one that can't be read.
    #[error("{0}: the http option can't be read")]
    Option(String),
    /// The path template is wrong.
    #[error("{method}: {template}: {error}")]
    Template {
        /// The method.
        method: String,
        /// Its template.
        template: String,
        /// What is wrong with it.
        error: TemplateError,
    },
    /// A field that the option names isn't there or can't be bound.
    #[error("{method}: field {field} can't be bound")]
    Field {
        /// The method.
        method: String,
        /// The field.
        field: String,
    },
    /// Two methods want the same place.
    #[error("{method}: {template} is taken by another method")]
    Taken {
        /// The second method.
        method: String,
        /// The place.
        template: String,
    },
    /// Nobody said who may call it.
    #[error("{0}: no access rule")]
    NoAccessRule(String),
    /// It is for services alone and has a path all the same.
    #[error("{0}: only peers may call it, but it has an http option")]
    Peer(String),
    /// Both sides stream, which HTTP can't.
    #[error("{0}: a bidirectional stream has no http form")]
    Bidirectional(String),
}
