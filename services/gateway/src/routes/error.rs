//! Why the contracts can't be served.

use super::template::TemplateError;

/// Why the contracts can't be served.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The descriptor set lacks the option's definition, or an option can't be read.
    #[error("{0}: the http option can't be read")]
    Option(String),
    /// The path template is invalid.
    #[error("{method}: {template}: {error}")]
    Template {
        /// The method.
        method: String,
        /// Its template.
        template: String,
        /// What is wrong with it.
        error: TemplateError,
    },
    /// A field that the option names doesn't exist or can't be bound.
    #[error("{method}: field {field} can't be bound")]
    Field {
        /// The method.
        method: String,
        /// The field.
        field: String,
    },
    /// Two methods have the same HTTP method and path.
    #[error("{method}: {template} is taken by another method")]
    Taken {
        /// The second method.
        method: String,
        /// The path.
        template: String,
    },
    /// The method has no access rule.
    #[error("{0}: no access rule")]
    NoAccessRule(String),
    /// Only services may call the method, but it has a path.
    #[error("{0}: only peers may call it, but it has an http option")]
    Peer(String),
    /// Both sides stream, which has no REST form.
    #[error("{0}: a bidirectional stream can't have an http option")]
    Bidirectional(String),
}
