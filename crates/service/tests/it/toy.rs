//! A toy service and a client of its admin endpoints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_rpc::{AccessRules, Server, ServerSettings};
use flotilla_service::{Chassis, Degraded, Required, Running, ServiceSettings};
use flotilla_telemetry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A grace period that no drain reaches, however busy the machine is.
pub const GRACE: Duration = Duration::from_secs(120);

/// What the toy's checks say.
#[derive(Clone, Default)]
pub struct Switches {
    pub database_down: Arc<AtomicBool>,
    pub broker_down: Arc<AtomicBool>,
}

pub fn chassis(grace: Duration, registry: &Registry) -> Chassis {
    let settings = ServiceSettings { grace: HumanDuration(grace).into(), ..ServiceSettings::default() };
    Chassis::new("toy", &settings, registry)
}

/// A chassis with two checks.
pub fn with_checks(switches: &Switches, registry: &Registry) -> Chassis {
    let mut chassis = chassis(GRACE, registry);
    let checks = [("database", Required, &switches.database_down), ("broker", Degraded, &switches.broker_down)];
    for (name, severity, down) in checks {
        let down = Arc::clone(down);
        chassis.check(name, severity, move || {
            let down = down.load(Ordering::Relaxed);
            Box::pin(async move { if down { Err("down".to_owned()) } else { Ok(()) } })
        });
    }
    chassis
}

pub async fn start(chassis: Chassis, registry: &Registry) -> Running {
    let settings = ServerSettings::default();
    let server = Server::new(&settings, None, AccessRules::new(), registry);
    chassis.start(server, settings.listen).await.unwrap()
}

/// Status and body of a GET.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    send(address, "GET", path, "").await
}

/// Status and body of any request.
pub async fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: toy\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Waits until `path` answers with `status`.
pub async fn until(address: SocketAddr, path: &str, status: u16) -> String {
    until_answer(address, path, |answered, _| answered == status).await
}

/// Waits until the status and the body of `path` are as `wanted`.
pub async fn until_answer(address: SocketAddr, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let (answered, body) = get(address, path).await;
        if wanted(answered, &body) {
            return body;
        }
        assert!(Instant::now() < end, "{path} still answers {answered}: {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
