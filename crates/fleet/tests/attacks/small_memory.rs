//! A gateway with 64 MiB, which the documentation promises to be enough, and one address that takes all it can get.

use std::{
    ffi::OsStr,
    net::{Ipv4Addr, SocketAddr},
    os::unix::ffi::OsStrExt as _,
    sync::Arc,
    time::Duration,
};

use flotilla_fleet::services::probe;
use flotilla_servers::{Process, free_port};
use futures::FutureExt as _;
use http::Request;
use tokio::time::{Instant, sleep};

use crate::{
    attackers::{Attack, login},
    control_group::ControlGroup,
    fleet::{Fleet, fleet},
    held_streams::HeldStreams,
    own_fleet::binary,
};

const MEMORY: u64 = 64 << 20;
const START_DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// Four times that of a large gateway: one address has a third of the 21 MiB for requests, also an honest one.
const BETWEEN_CALLS: Duration = Duration::from_millis(100);
/// The number of connections with watches, and with bodies.
const CONNECTIONS: [usize; 2] = [40, 20];
const WATCHES: HeldStreams = HeldStreams { count: 100, request: watch, unended: None };
/// Nearly the largest bodies that are allowed. They don't end, so the gateway has to keep what it has received.
const BODIES: HeldStreams = HeldStreams { count: 20, request: body, unended: Some(1_000_000) };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_of_64_mib_withstands_one_address() {
    let group = match ControlGroup::with_memory(MEMORY) {
        Ok(group) => group,
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "small_memory: {reason}");
            println!("SKIPPED small_memory: {reason}");
            return;
        }
    };
    let fleet = fleet().await;
    let mut gateway = SmallGateway::start(&fleet, group).await;
    let address = gateway.address;
    fleet
        .withstands_at(
            address,
            BETWEEN_CALLS,
            "4,000 streams and 400 bodies of one address at a gateway of 64 MiB",
            async || {
                let streams = |(kind, count): (HeldStreams, usize)| kind.count * count;
                let kinds = [WATCHES, BODIES].into_iter().zip(CONNECTIONS);
                let mut attack = Attack::new(kinds.clone().map(streams).sum());
                for (kind, count) in kinds {
                    for _ in 0..count {
                        attack.spawn(kind.keep_open(address, Arc::clone(&attack.deeds)));
                    }
                }
                attack
            },
        )
        .await;
    gateway.assert_unharmed();
    gateway.process.terminate().await;
}

fn watch(gateway: SocketAddr, _: usize) -> Request<()> {
    Request::get(format!("http://{gateway}/v1/products:watchPrices")).body(()).unwrap()
}

fn body(gateway: SocketAddr, _: usize) -> Request<()> {
    login(gateway, 0)
}

/// A second gateway of the fleet, in a control group of its own.
struct SmallGateway {
    address: SocketAddr,
    /// Declared before `group`, so that it is dropped first: only an empty group can be removed.
    process: Process,
    group: ControlGroup,
}

impl SmallGateway {
    /// Starts it with the settings of the fleet's gateway, except for the ports.
    async fn start(fleet: &Fleet, group: ControlGroup) -> Self {
        let local = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let (address, admin) = (local(), local().to_string());
        let pid = fleet.state.member("gateway").unwrap().pid.unwrap();
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        let variables = environment.split(|byte| *byte == 0).filter_map(|variable| {
            let middle = variable.iter().position(|byte| *byte == b'=')?;
            Some((OsStr::from_bytes(&variable[..middle]), OsStr::from_bytes(&variable[middle + 1..])))
        });
        let mut command = group.command(&binary().with_file_name("flotilla"));
        command.args(["gateway", "serve"]).env_clear().envs(variables);
        command.env("FLOTILLA__GRPC__LISTEN", address.to_string()).env("FLOTILLA__SERVICE__ADMIN_LISTEN", &admin);
        let log = fleet.home.log("small-gateway");
        let process = Process::spawn_own(command, &log, fleet.home.rotation()).unwrap();
        let mut gateway = Self { address, process, group };
        let deadline = Instant::now() + START_DEADLINE;
        while !probe::is_ready(&admin).await {
            assert!(gateway.is_running() && Instant::now() < deadline, "no small gateway: see {}", log.display());
            sleep(PAUSE).await;
        }
        gateway
    }

    fn is_running(&mut self) -> bool {
        self.process.wait().now_or_never().is_none()
    }

    /// The process still runs, and the kernel has killed none for lack of memory.
    fn assert_unharmed(&mut self) {
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        println!("peak memory of the control group: {}", self.group.peak().map_or_else(|| "unknown".to_owned(), mib));
        assert_eq!(self.group.killed(), 0, "processes killed for lack of memory");
        assert!(self.is_running(), "the gateway has ended");
    }
}
