//! What a fleet in containers publishes, like a native one: its state, the variables for a shell, the table.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use flotilla_terminal::{Table, bold, mib};

use super::containers::Container;
use crate::{
    DATABASES, SERVERS, SERVICES,
    credentials::{nats_users, secrets::Secrets},
    home::{
        Home,
        state::{Member, Phase, State},
    },
};

/// The port of gRPC in every container, and of REST in the gateway's.
const PUBLIC_PORT: u16 = 8080;
/// The port of the admin endpoints in every container.
const ADMIN_PORT: u16 = 9090;
/// The ports of the servers, in their order.
const SERVER_PORTS: [u16; 3] = [5432, 4222, 6379];

/// Address of NATS for the fleet's own commands.
fn nats_url(secrets: &Secrets, host: &str) -> String {
    let users = nats_users::users(&secrets.nats_passwords);
    let url = format!("nats://{host}");
    users.iter().find(|user| user.name == nats_users::COMMANDS).map_or_else(|| url.clone(), |user| user.at(&url))
}

/// The state, with the addresses of services and servers.
///
/// # Errors
/// When a port isn't published.
pub fn state(found: &[Container], secrets: &Secrets) -> Result<State> {
    let address = |name: &str, port: u16| {
        let container = found.iter().find(|container| container.service == name);
        container.and_then(|container| container.published(port)).with_context(|| {
            format!("port {port} of {name} is not published: is it running, and is local.yaml among the Compose files?")
        })
    };
    let member = |name: &str, address: String, admin: Option<String>, is_service: bool| Member {
        name: name.to_owned(),
        pid: None,
        address,
        admin,
        start_ms: None,
        restarts: 0,
        is_service,
        process: None,
    };
    let postgres = address("postgres", SERVER_PORTS[0])?;
    let (nats, redis) = (address("nats", SERVER_PORTS[1])?, address("redis", SERVER_PORTS[2])?);
    let mut members = vec![
        member("postgres", format!("postgres://postgres@{postgres}/postgres"), None, false),
        member("nats", format!("nats://{nats}"), None, false),
        member("redis", format!("redis://{redis}"), None, false),
    ];
    for name in SERVICES {
        let admin = format!("http://{}", address(name, ADMIN_PORT)?);
        members.push(member(name, address(name, PUBLIC_PORT)?, Some(admin), true));
    }
    Ok(State {
        supervisor: 0,
        phase: Phase::Ready,
        members,
        postgres_url: format!("postgres://postgres:{}@{postgres}/postgres", secrets.postgres_password),
        nats_url: nats_url(secrets, &nats),
        redis_url: format!("redis://:{}@{redis}", secrets.redis_password),
        sources: "containers".to_owned(),
        certificates: None,
    })
}

/// `.flotilla/env`, with the same names as for a native fleet.
///
/// # Errors
/// When it can't be written.
pub fn write_variables(home: &Home, state: &State, secrets: &Secrets) -> Result<()> {
    let mut variables = vec![
        ("FLOTILLA_GATEWAY_URL".to_owned(), state.url("gateway")?),
        ("FLOTILLA_NATS_URL".to_owned(), state.nats_url.clone()),
        ("FLOTILLA_REDIS_URL".to_owned(), state.redis_url.clone()),
        ("FLOTILLA_ADMIN_EMAIL".to_owned(), secrets.admin_email.clone()),
        ("FLOTILLA_ADMIN_PASSWORD".to_owned(), secrets.admin_password.clone()),
    ];
    for member in state.members.iter().filter(|member| member.is_service) {
        let name = member.name.to_uppercase();
        variables.push((format!("FLOTILLA_{name}_GRPC"), member.address.clone()));
        variables.push((format!("FLOTILLA_{name}_ADMIN"), member.admin.clone().unwrap_or_default()));
    }
    for service in DATABASES {
        variables.push((format!("FLOTILLA_{}_DATABASE_URL", service.to_uppercase()), state.database_url(service)));
    }
    variables.sort();
    let text: String = variables.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    home.write_private(&home.env(), text.as_bytes())
}

/// Prints services, servers and other containers; `memory` is in KiB, by the container's name.
pub fn print_table(found: &[Container], memory: &BTreeMap<String, u64>) {
    let mut table = Table::new(&["", "address", "admin", "container", ">memory", "health"]);
    let (mut services, mut all) = (0, 0);
    let known: Vec<&str> = SERVICES.iter().chain(&SERVERS).copied().collect();
    let others = found.iter().map(|container| container.service.as_str()).filter(|name| !known.contains(name));
    for name in known.iter().copied().chain(others) {
        let Some(container) = found.iter().find(|container| container.service == name) else {
            table.row([name.to_owned(), String::new(), String::new(), "none".to_owned()]);
            continue;
        };
        let is_service = SERVICES.contains(&name);
        let kib = memory.get(&container.name).copied();
        all += kib.unwrap_or_default();
        services += if is_service { kib.unwrap_or_default() } else { 0 };
        let public = [PUBLIC_PORT].into_iter().chain(SERVER_PORTS).find_map(|port| container.published(port));
        let admin = if is_service { container.published(ADMIN_PORT) } else { None };
        let health = if container.health.is_empty() { &container.state } else { &container.health };
        table.row([
            name.to_owned(),
            public.unwrap_or_default(),
            admin.map(|admin| format!("http://{admin}")).unwrap_or_default(),
            container.name.clone(),
            kib.map(mib).unwrap_or_default(),
            health.clone(),
        ]);
    }
    print!("{}", table.render());
    println!("resident memory: services {}, with servers {}", bold(&mib(services)), bold(&mib(all)));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::{super::containers::containers, *};

    fn container(service: &str, ports: &[(u16, u16)]) -> String {
        let publishers: Vec<_> = ports
            .iter()
            .map(|(target, published)| {
                format!("{{\"URL\":\"127.0.0.1\",\"TargetPort\":{target},\"PublishedPort\":{published}}}")
            })
            .collect();
        format!(
            "{{\"Name\":\"flotilla-{service}-1\",\"Service\":\"{service}\",\"State\":\"running\",\"Publishers\":[{}]}}",
            publishers.join(",")
        )
    }

    fn fleet() -> Vec<Container> {
        let mut text = container("postgres", &[(5432, 1)]) + &container("nats", &[(4222, 2)]);
        text += &container("redis", &[(6379, 3)]);
        SERVICES.iter().for_each(|name| text += &container(name, &[(9090, 5), (8080, 4)]));
        containers(&text).unwrap()
    }

    #[test]
    fn the_state_names_published_addresses_and_keeps_the_password_out_of_what_is_shown() {
        let state = state(&fleet(), &Secrets::for_tests()).unwrap();
        assert_eq!(state.url("gateway").unwrap(), "http://127.0.0.1:4");
        assert_eq!(state.admin("orders").unwrap(), "127.0.0.1:5");
        assert_eq!(state.member("nats").unwrap().address, "nats://127.0.0.1:2");
        assert_eq!(state.database_url("orders"), "postgres://postgres:p@127.0.0.1:1/orders");
        assert!(!state.member("postgres").unwrap().address.contains(":p@"));
        let shown = state.to_json().unwrap();
        assert!(shown.contains("postgres://postgres@127.0.0.1:1/") && !shown.contains(":p@"), "{shown}");
        assert_eq!(
            (state.nats_url.as_str(), state.redis_url.as_str()),
            ("nats://fleet:n-fleet@127.0.0.1:2", "redis://:r@127.0.0.1:3")
        );
        assert!(!shown.contains(":n-fleet@") && !shown.contains(":r@"), "{shown}");
    }

    #[test]
    fn a_port_that_is_missing_is_named() {
        let found: Vec<_> = fleet().into_iter().filter(|container| container.service != "nats").collect();
        assert!(state(&found, &Secrets::for_tests()).unwrap_err().to_string().contains("port 4222 of nats"));
    }
}
