//! All services in one process: orders and traces work as with six processes, each service keeps its own telemetry, and
//! all of them crash and restart together.

use std::{collections::BTreeSet, fs};

use flotilla_fleet::{ONE_PROCESS, SERVICES, home::state::State};
use serde_json::Value;

use crate::{
    crash::kill,
    fleet::{Fleet, one_process},
    happy::happy_way,
    http,
    lifecycle::Own,
    trace::one_trace,
};

/// An established connection in `/proc/net/tcp`.
const ESTABLISHED: &str = "01";

#[tokio::test]
async fn an_order_goes_its_happy_way_in_one_process() {
    happy_way(&one_process().await).await;
}

#[tokio::test]
async fn spans_of_one_process_name_their_services() {
    one_trace(&one_process().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_survive_the_death_of_the_process() {
    let fleet = one_process().await;
    let before = services(&State::of_running(&fleet.home).unwrap());
    fleet.survive(300, 15, ["orders", "gateway"].map(kill).into()).await;
    let after = services(&State::of_running(&fleet.home).unwrap());
    for ((name, pid, restarts), (_, old_pid, old_restarts)) in after.iter().zip(&before) {
        assert_eq!((*pid == after[0].1, *restarts), (true, old_restarts + 2), "{name}: {after:?}");
        assert_ne!(pid, old_pid, "{name}");
    }
}

/// Name, process id and restarts of each service.
fn services(state: &State) -> Vec<(String, Option<u32>, u32)> {
    let services = state.members.iter().filter(|member| member.is_service);
    services.map(|member| (member.name.clone(), member.pid, member.restarts)).collect()
}

#[tokio::test]
async fn services_call_each_other_without_a_socket() {
    let fleet = one_process().await;
    happy_way(&fleet).await;
    let port = |service: &str| {
        let address = &fleet.state.member(service).unwrap().address;
        address.rsplit_once(':').unwrap().1.parse::<u16>().unwrap()
    };
    let connected = connected_ports(&fleet);
    // The test's own connection: what is looked for is found.
    assert!(connected.contains(&port("gateway")), "{connected:?}");
    for service in SERVICES.into_iter().filter(|service| *service != "gateway") {
        assert!(!connected.contains(&port(service)), "something is connected to {service} over TCP");
    }
}

/// The local ports of established TCP connections.
fn connected_ports(fleet: &Fleet) -> BTreeSet<u16> {
    let pid = fleet.state.member("gateway").unwrap().pid.unwrap();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let local = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (_, port) = columns.get(1)?.split_once(':')?;
        if *columns.get(3)? == ESTABLISHED { u16::from_str_radix(port, 16).ok() } else { None }
    };
    table.lines().skip(1).filter_map(local).collect()
}

#[tokio::test]
async fn one_admin_port_has_the_endpoints_of_each_service_and_of_all() {
    let fleet = one_process().await;
    let admins: Vec<_> = SERVICES.into_iter().map(|service| fleet.state.admin(service).unwrap()).collect();
    let (port, _) = admins[0].split_once('/').unwrap();
    for (service, admin) in SERVICES.into_iter().zip(&admins) {
        assert_eq!(*admin, format!("{port}/{service}"));
        let ready: Value =
            serde_json::from_str(&http::get(port, &format!("/{service}/readyz"), None).await.body).unwrap();
        assert_eq!((&ready["service"], &ready["ready"]), (&service.into(), &true.into()), "{ready}");
        let config = http::get(port, &format!("/{service}/config"), None).await.body;
        assert!(config.contains(&format!("FLOTILLA_{}__GRPC__LISTEN", service.to_uppercase())), "{config}");
    }
    assert_eq!(http::get(port, "/readyz", None).await.status, 200);
    let metrics = http::get(port, "/metrics", None).await.body;
    for service in SERVICES {
        assert!(metrics.contains(&format!("flotilla_build_info{{job=\"{service}\"")), "{service}: {metrics}");
    }
    assert_eq!(metrics.matches("\nprocess_resident_memory_bytes ").count(), 1, "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_treats_services_of_one_process_as_what_they_are() {
    let own = Own::new("one-process");
    let up = own.run(&["up", "--one-process", "--tls"]).await;
    assert!(up.success && up.stdout.contains("all services run in one process"), "{up:?}");
    let demo = own.run(&["demo", "--products", "8", "--customers", "2", "--orders", "20"]).await;
    assert!(demo.success, "{demo:?}");

    let memory = |line: &&str| line.contains(" MiB");
    let status = own.run(&["status"]).await;
    let rows: Vec<_> =
        status.stdout.lines().filter(|line| SERVICES.iter().any(|name| line.starts_with(name))).collect();
    assert_eq!((rows.len(), rows.iter().copied().filter(|line| memory(line)).count()), (6, 1), "{status:?}");
    let orders = own.run(&["logs", "orders", "-n", "100"]).await;
    let lines: Vec<Value> = orders.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["service"] == "orders"), "{orders:?}");

    for (refused, why) in [
        (&["stop", "orders"][..], "can't stop orders alone"),
        (&["logging", "set", "debug", "--service", "orders"], "one process, which has one log filter"),
        (&["restart", "orders", "--binary", "flotilla"], "--binary needs a process for each service"),
    ] {
        let refused = own.run(refused).await;
        assert!(!refused.success && refused.stderr.contains(why), "{refused:?}");
    }
    let before = services(&State::of_running(&own.0).unwrap());
    let restart = own.run(&["restart", "payments"]).await;
    assert!(restart.success && restart.stdout.contains("all of them restart"), "{restart:?}");
    let after = services(&State::of_running(&own.0).unwrap());
    let together = before.iter().zip(&after).all(|(before, now)| before.1 != now.1 && now.1 == after[0].1);
    assert!(together, "{before:?} {after:?}");
    let again = own.run(&["up"]).await;
    assert!(again.success && again.stdout.starts_with("the fleet is up already"), "{again:?}");

    assert!(own.run(&["down"]).await.success);
    let log = fs::read_to_string(own.0.log(ONE_PROCESS)).unwrap();
    let last = log.rsplit_once("\"message\":\"stopping\"").unwrap().1;
    for service in SERVICES {
        assert!(last.lines().any(|line| line.contains("\"message\":\"stopped\"") && line.contains(service)), "{last}");
    }
    assert!(!last.contains("drain was not clean") && !last.contains("process failed"), "{last}");
}
