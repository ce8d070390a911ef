//! A gateway of its own process under attack: its memory, and the latency of honest clients.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_testkit::eventually;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::attackers::{self, Attack};
use crate::http::Call;
use crate::test_services::TestServices;

const SOON: Duration = Duration::from_secs(30);
/// Calls of an honest client in each measurement.
const CALLS: usize = 300;
/// What other tests on a machine of two cores may add to a median, and to a 99th percentile.
const NOISE: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(150)];
/// Measurements under attack, of which one must be good.
const TRIES: usize = 3;
/// By so much the gateway may grow, in KiB.
const GROWTH: u64 = 32 * 1024;

/// One siege at a time: each measures.
pub static ATTACKS: Mutex<()> = Mutex::const_new(());

/// The gateway's process.
pub struct Gateway {
    process: Child,
    pub address: SocketAddr,
    _test_services: TestServices,
}

impl Gateway {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts it with further variables.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        let test_services = TestServices::start().await;
        let address = free_port().await;
        let admin = free_port().await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla-gateway"));
        command
            .env("FLOTILLA__GRPC__LISTEN", address.to_string())
            .env("FLOTILLA__SERVICE__ADMIN_LISTEN", admin.to_string())
            .env("FLOTILLA__AUTH__IDENTITY_URL", &test_services.url)
            .env("FLOTILLA__EDGE__HEADER_TIMEOUT", "1s")
            .envs(variables.iter().copied());
        for service in ["IDENTITY", "INVENTORY", "ORDERS", "PAYMENTS", "NOTIFICATION"] {
            command.env(format!("FLOTILLA__BACKENDS__{service}"), &test_services.url);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let gateway = Self { process, address, _test_services: test_services };
        eventually("the gateway", SOON, || async { TcpStream::connect(address).await.is_ok() }).await;
        gateway
    }

    /// Resident memory in KiB; `None` where the system doesn't tell.
    pub fn memory(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
    }

    /// Median and 99th percentile of calls over both versions of HTTP, each on a connection of its own.
    pub async fn latencies(&self) -> [Duration; 2] {
        let mut took = Vec::with_capacity(CALLS);
        for number in 0..CALLS {
            let call = Call::new(self.address, "GET /v1/products");
            let call = if number % 2 == 0 { call.http2() } else { call };
            let began = Instant::now();
            assert_eq!(call.send().await.status, 200);
            took.push(began.elapsed());
        }
        took.sort_unstable();
        [took[CALLS / 2], took[CALLS * 99 / 100]]
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}

/// A port that was free just now.
async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Whether honest clients wait more than twice as long, noise aside.
fn felt(quiet: [Duration; 2], during: [Duration; 2]) -> bool {
    (0..2).any(|which| during[which] > quiet[which] * 2 + NOISE[which])
}

/// Honest clients before, during and after the attack.
async fn withstands(attack: impl FnOnce(SocketAddr) -> Attack) {
    let _alone = ATTACKS.lock().await;
    let gateway = Gateway::start().await;
    // Pools, caches and the allocator fill up.
    gateway.latencies().await;
    let before = gateway.latencies().await;
    let memory = gateway.memory();
    let attack = attack(gateway.address);
    eventually("the attack under way", SOON, || async { attack.deeds.load(Ordering::Relaxed) >= 4 }).await;
    let mut during = gateway.latencies().await;
    // What else the machine does only ever adds: the attack alone is felt each time.
    for _ in 1..TRIES {
        if !felt(before, during) {
            break;
        }
        during = gateway.latencies().await;
    }
    let grown = memory.zip(gateway.memory()).map(|(before, now)| now.saturating_sub(before));
    let deeds = attack.deeds.load(Ordering::Relaxed);
    drop(attack);
    let after = gateway.latencies().await;
    println!(
        "median and 99th percentile: before {before:?}, during {during:?}, after {after:?}; {deeds} deeds; {grown:?} KiB"
    );
    let quiet = [before[0].max(after[0]), before[1].max(after[1])];
    assert!(!felt(quiet, during), "{during:?} under attack, {quiet:?} without");
    assert!(grown.is_none_or(|grown| grown < GROWTH), "{grown:?} KiB more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_headers_do_not_slow_down_others() {
    withstands(attackers::slow_headers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_do_not_slow_down_others() {
    withstands(attackers::rapid_reset).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_continuations_does_not_slow_down_others() {
    withstands(attackers::continuation_flood).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_messages_do_not_slow_down_others() {
    withstands(attackers::oversized_messages).await;
}
