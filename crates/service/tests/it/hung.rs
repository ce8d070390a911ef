//! Liveness as a kubelet asks for it: it depends on nothing outside, and fails while the event loop hangs.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use flotilla_service::Required;
use flotilla_telemetry::Registry;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::toy::{GRACE, chassis, get, start, until};

/// What a kubelet waits for an answer by default.
const PROBE: Duration = Duration::from_secs(1);
/// A hang that nobody ends ends here, so that a broken test does.
const LONGEST_HANG: Duration = Duration::from_secs(300);

/// A service on a runtime of its own with one thread, as services run; `POST /hang` blocks that thread.
struct Single {
    admin: SocketAddr,
    let_go: mpsc::Sender<()>,
    hangs: mpsc::Receiver<()>,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Single {
    async fn start() -> Self {
        let (let_go, held) = mpsc::channel::<()>();
        let (tell, hangs) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (bound, admin) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let registry = Registry::new();
                let mut chassis = chassis(GRACE, &registry);
                let held = std::sync::Mutex::new(held);
                let held = std::sync::Arc::new(held);
                let hang = move || {
                    let (held, tell) = (std::sync::Arc::clone(&held), tell.clone());
                    async move {
                        tell.send(()).unwrap();
                        // Not awaited: the thread itself is held, as by an endless loop or a lock.
                        let _ = held.lock().unwrap().recv_timeout(LONGEST_HANG);
                        "over"
                    }
                };
                chassis.mount(Router::new().route("/hang", post(hang)));
                let running = start(chassis, &registry).await;
                bound.send(running.admin).unwrap();
                let _ = stopped.await;
                running.stop().await.unwrap();
            });
        });
        Self { admin: admin.await.unwrap(), let_go, hangs, stop, thread }
    }

    /// Whether a probe is answered well in a kubelet's time.
    async fn is_live(&self) -> bool {
        matches!(timeout(PROBE, get(self.admin, "/livez")).await, Ok((200, _)))
    }
}

#[tokio::test]
async fn a_hung_event_loop_fails_liveness_until_it_recovers() {
    let service = Single::start().await;
    until(service.admin, "/livez", 200).await;

    let mut hanging = TcpStream::connect(service.admin).await.unwrap();
    hanging.write_all(b"POST /hang HTTP/1.1\r\nhost: toy\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    service.hangs.recv_timeout(LONGEST_HANG).unwrap();
    for probe in 1..=3 {
        assert!(!service.is_live().await, "probe {probe} is answered by a service that hangs");
    }

    service.let_go.send(()).unwrap();
    until(service.admin, "/livez", 200).await;
    service.stop.send(()).unwrap();
    service.thread.join().unwrap();
}

#[tokio::test]
async fn liveness_has_no_dependencies_and_readiness_names_the_one_that_hangs() {
    let registry = Registry::new();
    let mut chassis = chassis(GRACE, &registry);
    chassis.check("ledger", Required, || Box::pin(std::future::pending()));
    chassis.check("catalogue", Required, || Box::pin(std::future::ready(Ok(()))));
    let running = start(chassis, &registry).await;
    // Requested while the check still hangs: readiness waits a second for it.
    let ready = get(running.admin, "/readyz");
    tokio::pin!(ready);
    let live = tokio::select! {
        biased;
        live = get(running.admin, "/livez") => live,
        ready = &mut ready => panic!("liveness waits longer than readiness: {ready:?}"),
    };
    assert_eq!(live.0, 200);
    let (status, report) = ready.await;
    assert_eq!(status, 503);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let failed: Vec<_> = report["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(failed.len(), 1, "{report}");
    assert_eq!((failed[0]["name"].as_str(), failed[0]["severity"].as_str()), (Some("ledger"), Some("required")));
    running.stop().await.unwrap();
}
