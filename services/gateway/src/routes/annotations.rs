//! Reads the `google.api.http` options of the contracts.

use flotilla_proto::google::api::{HttpRule, http_rule::Pattern};
use http::Method as HttpMethod;
use prost_reflect::{DescriptorPool, MethodDescriptor, Value};

use super::{RouteError, rpc_name};

/// Full name of the option.
const OPTION: &str = "google.api.http";
/// Packages that are served.
const PACKAGES: &str = "flotilla.";

/// One binding as the option writes it.
#[derive(Debug, Clone)]
pub struct Rule {
    /// HTTP method.
    pub verb: HttpMethod,
    /// Path template.
    pub path: String,
    /// Field that the body holds, `*` for the message, empty for none.
    pub body: String,
    /// Field of the response that is the answer, empty for all of it.
    pub response_body: String,
}

/// Every method of the fleet's packages that carries the option, with its bindings.
///
/// # Errors
/// The set lacks the option's definition, or an option can't be read.
pub fn annotated(pool: &DescriptorPool) -> Result<Vec<(MethodDescriptor, Vec<Rule>)>, RouteError> {
    let option = pool.get_extension_by_name(OPTION).ok_or_else(|| RouteError::Option(OPTION.to_owned()))?;
    let mut found = Vec::new();
    for service in pool.services().filter(|service| service.package_name().starts_with(PACKAGES)) {
        for method in service.methods() {
            let options = method.options();
            if !options.has_extension(&option) {
                continue;
            }
            let unreadable = || RouteError::Option(rpc_name(&method));
            let Value::Message(message) = options.get_extension(&option).into_owned() else {
                return Err(unreadable());
            };
            let rule = message.transcode_to::<HttpRule>().map_err(|_| unreadable())?;
            let rules = std::iter::once(&rule)
                .chain(&rule.additional_bindings)
                .map(|rule| binding(rule).ok_or_else(unreadable))
                .collect::<Result<_, _>>()?;
            found.push((method, rules));
        }
    }
    Ok(found)
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

/// The first line of a method's comment.
pub(super) fn summary(method: &MethodDescriptor) -> String {
    let file = method.parent_file();
    let locations = file.file_descriptor_proto().source_code_info.as_ref().map(|info| info.location.as_slice());
    locations
        .unwrap_or_default()
        .iter()
        .find(|location| location.path == method.path())
        .and_then(|location| location.leading_comments().trim().lines().next())
        .unwrap_or_default()
        .trim()
        .to_owned()
}
