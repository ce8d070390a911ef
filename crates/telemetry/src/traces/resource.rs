//! The attributes of this process on everything that is exported.

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector};

/// Where a pod is told about itself (Kubernetes' downward API), and what that is called.
const PLACES: [(&str, &str); 4] = [
    ("POD_NAME", "k8s.pod.name"),
    ("POD_NAMESPACE", "k8s.namespace.name"),
    ("POD_UID", "k8s.pod.uid"),
    ("NODE_NAME", "k8s.node.name"),
];

/// What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, else the service's own name and version, and the pod and
/// node that it runs on.
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
    own.extend(PLACES.iter().filter_map(|(place, attribute)| Some(KeyValue::new(*attribute, set(place)?))));
    // Replicas of a service are told apart by their pod, or else by their process.
    let instance = set("POD_NAME").unwrap_or_else(|| format!("{name}-{}", std::process::id()));
    own.push(KeyValue::new("service.instance.id", instance));
    own.retain(|attribute| given.get(&attribute.key).is_none());
    Resource::builder().with_attributes(own).with_service_name(name).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)], attribute: &'static str) -> Option<String> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        resource("orders", find).get(&Key::from_static_str(attribute)).map(|value| value.to_string())
    }

    #[test]
    fn a_process_is_called_after_its_service_unless_it_is_named() {
        assert_eq!(told(&[], "service.name").as_deref(), Some("orders"));
        assert_eq!(told(&[("OTEL_SERVICE_NAME", "mine")], "service.name").as_deref(), Some("mine"));
        assert!(told(&[], "service.instance.id").is_some_and(|id| id.starts_with("orders-")));
    }

    #[test]
    fn pod_and_node_are_told_where_there_are_any() {
        let pod = [("POD_NAME", "orders-7d9"), ("NODE_NAME", "worker-2"), ("POD_NAMESPACE", "fleet")];
        assert_eq!(told(&pod, "k8s.pod.name").as_deref(), Some("orders-7d9"));
        assert_eq!(told(&pod, "k8s.node.name").as_deref(), Some("worker-2"));
        assert_eq!(told(&pod, "k8s.namespace.name").as_deref(), Some("fleet"));
        assert_eq!(told(&pod, "service.instance.id").as_deref(), Some("orders-7d9"));
        assert_eq!(told(&[], "k8s.pod.name"), None);
    }
}
