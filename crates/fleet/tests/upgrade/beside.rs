//! Further processes of services beside the supervised ones: replicas of another build, as a rolling update has them.
//!
//! They share consumers, relay leases and sagas with the supervised ones; the gateway doesn't know their ports.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use flotilla_fleet::services::probe;
use flotilla_process::Signal;
use tokio::{process::Child, time::timeout};

use crate::fleet::{Build, Fleet};

/// The services that consume, and relay.
pub const SERVICES: [&str; 4] = ["inventory", "orders", "payments", "notification"];

const READY: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// One process of each of [`SERVICES`], by one build.
pub struct Beside(Vec<One>);

struct One {
    service: &'static str,
    admin: String,
    process: Child,
}

impl Beside {
    /// Starts them, and waits until they are ready.
    pub async fn start(fleet: &Fleet, build: &Build) -> Self {
        let mut all = Vec::new();
        for service in SERVICES {
            let [grpc, admin] = [0; 2].map(|_| format!("127.0.0.1:{}", flotilla_servers::free_port().unwrap()));
            let log = fleet.home.root().join("logs").join(format!("{service}-beside.log"));
            let log = File::options().append(true).create(true).open(log).unwrap();
            let process = build
                .command(service, "serve", &fleet.environments[service])
                .env("FLOTILLA__GRPC__LISTEN", grpc)
                .env("FLOTILLA__SERVICE__ADMIN_LISTEN", &admin)
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap();
            all.push(One { service, admin, process });
        }
        let until = Instant::now() + READY;
        for one in &all {
            while !probe::is_ready(&one.admin).await {
                assert!(Instant::now() < until, "{} beside the others isn't ready", one.service);
                tokio::time::sleep(PAUSE).await;
            }
        }
        Self(all)
    }

    /// Messages that one of them has applied so far.
    pub async fn applied(&self, service: &str) -> f64 {
        let one = self.0.iter().find(|one| one.service == service).unwrap();
        let (_, page) = probe::get(&one.admin, "/metrics").await.unwrap();
        let counts = page.lines().filter(|line| line.starts_with("flotilla_consumer_events_total"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Ends them as a cluster does, and sees that each drains and says so.
    pub async fn stop(self) {
        for One { service, mut process, .. } in self.0 {
            flotilla_process::signal(process.id().expect("it still runs"), Signal::TERM).unwrap();
            let status =
                timeout(END, process.wait()).await.unwrap_or_else(|_| panic!("{service} doesn't end")).unwrap();
            assert!(status.success(), "{service} beside the others ended with {status}");
        }
    }
}
