//! Writes the tables of streams, durable consumers and published messages as the contracts' options declare them
//! (`flotilla.options.v1.messaging` and `event`). A contradiction among them fails the build.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use prost_reflect::{DescriptorPool, DynamicMessage, FileDescriptor, MessageDescriptor, Value};

const MESSAGING: &str = "flotilla.options.v1.messaging";
const EVENT: &str = "flotilla.options.v1.event";

/// A message that is published.
struct Published {
    message: MessageDescriptor,
    subject: String,
    aggregate: String,
}

/// A service with its stream and its consumers: durable name and subjects.
struct Service {
    stream: String,
    consumers: Vec<(String, Vec<String>)>,
}

/// The generated code: `impl Published` for each message that is published, `streams` and `consumers`.
pub fn generate(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let published = published(pool)?;
    let services = services(pool)?;
    let mut code = String::new();
    for event in &published {
        let service = producer(&event.subject)?;
        if !services.contains_key(service) {
            return Err(format!("{}: no service {service} declares a stream", event.message.full_name()).into());
        }
        writeln!(code, "impl Published for {} {{", rust_path(&event.message))?;
        writeln!(code, "const SUBJECT: &'static str = {:?};", event.subject)?;
        writeln!(code, "const AGGREGATE: &'static str = {:?};\n}}", event.aggregate)?;
    }
    writeln!(
        code,
        "/// The streams of the services, each written by its service's relay alone.\npub mod streams {{ use super::Stream;"
    )?;
    for (name, service) in &services {
        let mut subjects: Vec<&str> = published
            .iter()
            .map(|event| event.subject.as_str())
            .filter(|subject| producer(subject).is_ok_and(|producer| producer == name))
            .collect();
        subjects.sort_unstable();
        subjects.dedup();
        writeln!(code, "/// The stream of {name}.")?;
        writeln!(
            code,
            "pub const {}: Stream = Stream {{ name: {:?}, service: {name:?}, subjects: &{subjects:?} }};",
            constant(name),
            service.stream
        )?;
    }
    let names: Vec<String> = services.keys().map(|name| constant(name)).collect();
    writeln!(code, "/// All of them.\npub const ALL: &[Stream] = &[{}];\n}}", names.join(", "))?;
    consumers(&mut code, &services, &published)?;
    Ok(code)
}

fn consumers(
    code: &mut String,
    services: &BTreeMap<String, Service>,
    published: &[Published],
) -> Result<(), Box<dyn Error>> {
    writeln!(
        code,
        "/// The durable consumers of the services.\npub mod consumers {{ use super::{{Consumer, streams}};"
    )?;
    let mut names = Vec::new();
    for (service, declared) in services {
        for (durable, subjects) in &declared.consumers {
            let producers: Vec<&str> = subjects.iter().map(|subject| producer(subject)).collect::<Result<_, _>>()?;
            let (Some(first), true) = (producers.first(), producers.windows(2).all(|pair| pair[0] == pair[1])) else {
                return Err(format!("{durable}: its subjects must be of one stream").into());
            };
            let mut events = Vec::new();
            for subject in subjects {
                let of_subject: Vec<&str> = published
                    .iter()
                    .filter(|event| event.subject == *subject)
                    .map(|event| event.message.full_name())
                    .collect();
                if of_subject.is_empty() {
                    return Err(format!("{durable}: nothing is published on {subject}").into());
                }
                events.extend(of_subject);
            }
            let name = constant(durable);
            if names.contains(&name) {
                return Err(format!("{durable} is declared twice").into());
            }
            writeln!(code, "/// Consumer `{durable}` of {service}.\npub const {name}: Consumer = Consumer {{")?;
            writeln!(code, "durable: {durable:?}, service: {service:?}, stream: &streams::{},", constant(first))?;
            writeln!(code, "subjects: &{subjects:?}, events: &{events:?} }};")?;
            names.push(name);
        }
    }
    writeln!(code, "/// All of them.\npub const ALL: &[Consumer] = &[{}];\n}}", names.join(", "))?;
    Ok(())
}

fn published(pool: &DescriptorPool) -> Result<Vec<Published>, Box<dyn Error>> {
    let extension = pool.get_extension_by_name(EVENT).ok_or("the option of events is not declared")?;
    let mut found = Vec::new();
    for message in pool.all_messages() {
        let options = message.options();
        if !options.has_extension(&extension) {
            continue;
        }
        let value = options.get_extension(&extension);
        let value = value.as_message().ok_or("the option of events is no message")?;
        let (subject, aggregate) = (text(value, "subject"), text(value, "aggregate"));
        if aggregate.is_empty() {
            return Err(format!("{}: its aggregate is missing", message.full_name()).into());
        }
        found.push(Published { message, subject, aggregate });
    }
    Ok(found)
}

fn services(pool: &DescriptorPool) -> Result<BTreeMap<String, Service>, Box<dyn Error>> {
    let extension = pool.get_extension_by_name(MESSAGING).ok_or("the option of streams is not declared")?;
    let mut found = BTreeMap::new();
    for file in pool.files() {
        let options = file.options();
        if !options.has_extension(&extension) {
            continue;
        }
        let value = options.get_extension(&extension);
        let value = value.as_message().ok_or("the option of streams is no message")?;
        let consumers = value.get_field_by_name("consumers");
        let consumers = consumers.as_ref().and_then(|list| list.as_list()).unwrap_or_default();
        let consumers = consumers.iter().filter_map(Value::as_message).map(consumer).collect();
        let service = Service { stream: text(value, "stream"), consumers };
        let name = service_of(&file)?;
        if found.insert(name.clone(), service).is_some() {
            return Err(format!("{name} declares two streams").into());
        }
    }
    Ok(found)
}

fn consumer(value: &DynamicMessage) -> (String, Vec<String>) {
    let subjects = value.get_field_by_name("subjects");
    let subjects = subjects.as_ref().and_then(|list| list.as_list()).unwrap_or_default();
    (text(value, "durable"), subjects.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect())
}

fn text(value: &DynamicMessage, field: &str) -> String {
    value.get_field_by_name(field).and_then(|value| value.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

/// `orders` of the package `flotilla.orders.v1`.
fn service_of(file: &FileDescriptor) -> Result<String, Box<dyn Error>> {
    let name = file.package_name().split('.').nth(1);
    name.map(ToOwned::to_owned).ok_or_else(|| format!("{}: no package of a service", file.name()).into())
}

/// `orders` of the subject `flotilla.orders.events`.
fn producer(subject: &str) -> Result<&str, Box<dyn Error>> {
    let mut parts = subject.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("flotilla"), Some(producer), Some(_), None) => Ok(producer),
        _ => Err(format!("subject {subject:?} isn't flotilla.<producer>.<what>").into()),
    }
}

/// `crate::orders::v1::OrderPlaced`.
fn rust_path(message: &MessageDescriptor) -> String {
    let path = message.full_name().trim_start_matches("flotilla.").replace('.', "::");
    format!("crate::{path}")
}

/// `ORDERS_INVENTORY` of `orders-inventory`.
fn constant(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}
