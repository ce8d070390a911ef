//! Which fields of a request message the parts of an HTTP request are written to: its body, and headers that set
//! fields.

use flotilla_transcode::{FieldPath, Schema};
use http::Method;

/// The content of an HTTP body.
#[derive(Debug, Clone)]
pub enum BodyRule {
    /// None: a body is refused.
    None,
    /// The request message.
    Whole,
    /// One field of it.
    Field(FieldPath),
}

/// The fields of a message that headers set, and its update mask.
#[derive(Debug, Default)]
pub struct Special {
    request_id: Option<FieldPath>,
    resume_token: Option<FieldPath>,
    etag: Option<FieldPath>,
    mask: Option<FieldPath>,
}

impl Special {
    /// Finds these fields in a message of a request with `verb`, whose HTTP body is mapped by `body`.
    pub fn find(schema: &Schema, message: usize, verb: &Method, body: &BodyRule) -> Self {
        let text = |path: &str| schema.resolve_text(message, path);
        let inner = match body {
            // A resource that is being created has no etag yet.
            BodyRule::Field(path) if verb != Method::POST => text(&format!("{}.etag", schema.at(path).name)),
            BodyRule::Field(_) | BodyRule::None | BodyRule::Whole => None,
        };
        Self {
            request_id: text("request_id"),
            resume_token: text("resume_token"),
            etag: text("etag").or(inner),
            mask: schema.resolve(message, "update_mask"),
        }
    }

    /// The field for `Idempotency-Key`.
    pub fn request_id(&self) -> Option<&FieldPath> {
        self.request_id.as_ref()
    }

    /// The field for `If-Match`.
    pub fn etag(&self) -> Option<&FieldPath> {
        self.etag.as_ref()
    }

    /// The field for `Last-Event-ID`.
    pub fn resume_token(&self) -> Option<&FieldPath> {
        self.resume_token.as_ref()
    }

    /// The update mask.
    pub fn mask(&self) -> Option<&FieldPath> {
        self.mask.as_ref()
    }
}
