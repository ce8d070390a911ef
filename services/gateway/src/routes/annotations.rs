//! Reads the `google.api.http` options and the comments of the contracts.

use flotilla_proto::google::api::{HttpRule, http_rule::Pattern};
use http::Method as HttpMethod;
use prost_reflect::{DescriptorPool, ExtensionDescriptor, FileDescriptor, MethodDescriptor, Value};

use super::error::RouteError;

/// Full name of the option.
const OPTION: &str = "google.api.http";

/// One binding as declared in the option.
#[derive(Debug, Clone)]
pub struct Rule {
    /// HTTP method.
    pub verb: HttpMethod,
    /// Path template.
    pub path: String,
    /// The field that the body holds, `*` for the message, empty for none.
    pub body: String,
    /// The field of the response message that is the response body, empty for all of it.
    pub response_body: String,
}

/// The option's definition; a pool without it has no bindings.
pub(super) fn option(pool: &DescriptorPool) -> Option<ExtensionDescriptor> {
    pool.get_extension_by_name(OPTION)
}

/// The bindings of a method; none if it doesn't have the option.
///
/// # Errors
/// The option can't be read.
pub(super) fn rules(option: Option<&ExtensionDescriptor>, method: &MethodDescriptor) -> Result<Vec<Rule>, RouteError> {
    let options = method.options();
    let Some(option) = option.filter(|option| options.has_extension(option)) else { return Ok(Vec::new()) };
    let unreadable = || RouteError::Option(rpc_name(method));
    let Value::Message(message) = options.get_extension(option).into_owned() else {
        return Err(unreadable());
    };
    let rule = message.transcode_to::<HttpRule>().map_err(|_| unreadable())?;
    std::iter::once(&rule).chain(&rule.additional_bindings).map(|rule| binding(rule).ok_or_else(unreadable)).collect()
}

fn binding(rule: &HttpRule) -> Option<Rule> {
    let (verb, path) = match rule.pattern.as_ref()? {
        Pattern::Get(path) => (HttpMethod::GET, path),
        Pattern::Put(path) => (HttpMethod::PUT, path),
        Pattern::Post(path) => (HttpMethod::POST, path),
        Pattern::Delete(path) => (HttpMethod::DELETE, path),
        Pattern::Patch(path) => (HttpMethod::PATCH, path),
    };
    let (path, body, response_body) = (path.clone(), rule.body.clone(), rule.response_body.clone());
    Some(Rule { verb, path, body, response_body })
}

/// The leading comment of the element at `path` in a file, its lines joined.
pub fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let locations = file.file_descriptor_proto().source_code_info.as_ref().map(|info| info.location.as_slice());
    let found = locations.unwrap_or_default().iter().find(|location| location.path == path);
    let lines = found.map(|location| location.leading_comments().trim().lines()).into_iter().flatten();
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The first sentence of a comment.
pub(super) fn summary(comment: &str) -> String {
    comment.split_once(". ").map_or_else(|| comment.to_owned(), |(first, _)| format!("{first}."))
}

/// `package.Service/Method`.
pub(super) fn rpc_name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}
