//! The resource: the attributes of this process on everything it exports.

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector};

/// Variables set by Kubernetes' downward API, and their attributes.
const DOWNWARD_API: [(&str, &str); 4] = [
    ("POD_NAME", "k8s.pod.name"),
    ("POD_NAMESPACE", "k8s.namespace.name"),
    ("POD_UID", "k8s.pod.uid"),
    ("NODE_NAME", "k8s.node.name"),
];

/// The attributes in `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, else the service's own name and version, and its
/// pod and node.
pub(crate) fn resource(service: &'static str, variable: impl Fn(&str) -> Option<String>) -> Resource {
    let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let given = EnvResourceDetector::new().detect();
    let name = set("OTEL_SERVICE_NAME")
        .or_else(|| given.get(&Key::from_static_str("service.name")).map(|name| name.to_string()))
        .unwrap_or_else(|| service.to_owned());
    let mut own = vec![
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.namespace", "flotilla"),
    ];
    own.extend(DOWNWARD_API.iter().filter_map(|(name, attribute)| Some(KeyValue::new(*attribute, set(name)?))));
    // Replicas of a service are distinguished by their pod, or else by their process.
    let instance = set("POD_NAME").unwrap_or_else(|| format!("{name}-{}", std::process::id()));
    own.push(KeyValue::new("service.instance.id", instance));
    own.retain(|attribute| given.get(&attribute.key).is_none());
    Resource::builder().with_attributes(own).with_service_name(name).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(variables: &[(&str, &str)], attribute: &'static str) -> Option<String> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        resource("orders", find).get(&Key::from_static_str(attribute)).map(|value| value.to_string())
    }

    #[test]
    fn a_process_is_named_after_its_service_unless_the_environment_names_it() {
        assert_eq!(attribute(&[], "service.name").as_deref(), Some("orders"));
        assert_eq!(attribute(&[("OTEL_SERVICE_NAME", "mine")], "service.name").as_deref(), Some("mine"));
        assert!(attribute(&[], "service.instance.id").is_some_and(|id| id.starts_with("orders-")));
    }

    #[test]
    fn the_pod_and_node_are_attributes_if_known() {
        let pod = [("POD_NAME", "orders-7d9"), ("NODE_NAME", "worker-2"), ("POD_NAMESPACE", "fleet")];
        assert_eq!(attribute(&pod, "k8s.pod.name").as_deref(), Some("orders-7d9"));
        assert_eq!(attribute(&pod, "k8s.node.name").as_deref(), Some("worker-2"));
        assert_eq!(attribute(&pod, "k8s.namespace.name").as_deref(), Some("fleet"));
        assert_eq!(attribute(&pod, "service.instance.id").as_deref(), Some("orders-7d9"));
        assert_eq!(attribute(&[], "k8s.pod.name"), None);
    }
}
