//! The drain: in order, complete, and within the grace.

use std::sync::Arc;
use std::time::Duration;

use flotilla_telemetry::Registry;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::toy::{GRACE, chassis, get, start};

#[tokio::test]
async fn calls_end_before_tasks_and_tasks_before_hooks() {
    let registry = Registry::new();
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let order = Arc::clone(&order);
        async move { order.lock().await.push(what) }
    };
    let mut chassis = chassis(GRACE, &registry);
    let shutdown = chassis.shutdown();
    let task = note("task");
    chassis.spawn("task", async move {
        shutdown.cancelled().await;
        task.await;
    });
    let draining = chassis.draining();
    chassis.on_drain(note("hook"));
    let calls = note("calls");
    let running = chassis
        .start_with("127.0.0.1:0".parse().unwrap(), None, |_, stop| async move {
            stop.cancelled().await;
            assert!(draining.is_cancelled(), "streams are notified first");
            calls.await;
            Ok(())
        })
        .await
        .unwrap();
    running.stop().await.unwrap();
    assert_eq!(*order.lock().await, ["calls", "task", "hook"]);
}

#[tokio::test]
async fn a_call_in_flight_is_answered_with_the_help_of_tasks_while_the_service_drains() {
    let registry = Registry::new();
    let mut chassis = chassis(GRACE, &registry);
    let (ask, mut asked) = mpsc::channel::<oneshot::Sender<()>>(1);
    let shutdown = chassis.shutdown();
    chassis.spawn("task", async move {
        while let Some(Some(reply)) = shutdown.run_until_cancelled(asked.recv()).await {
            reply.send(()).unwrap();
        }
    });
    let running = chassis
        .start_with("127.0.0.1:0".parse().unwrap(), None, |_, stop| async move {
            stop.cancelled().await;
            for _ in 0..3 {
                let (reply, answer) = oneshot::channel();
                ask.send(reply).await.expect("the task goes on while a call is in flight");
                answer.await.expect("the task answers while a call is in flight");
            }
            Ok(())
        })
        .await
        .unwrap();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_draining_service_is_not_ready() {
    let registry = Registry::new();
    let chassis = chassis(GRACE, &registry);
    let let_go = Arc::new(Notify::new());
    let held = Arc::clone(&let_go);
    let running = chassis
        .start_with("127.0.0.1:0".parse().unwrap(), None, |_, stop| async move {
            stop.cancelled().await;
            held.notified().await;
            Ok(())
        })
        .await
        .unwrap();
    let admin = running.admin;
    assert_eq!(get(admin, "/readyz").await.0, 200);
    running.stopper().cancel();
    let body = crate::toy::until(admin, "/readyz", 503).await;
    assert!(body.contains(r#""draining":true"#), "{body}");
    let_go.notify_one();
    running.wait().await.unwrap();
}

#[tokio::test]
async fn tasks_that_do_not_end_are_aborted_within_the_grace_and_named() {
    let registry = Registry::new();
    let grace = Duration::from_millis(300);
    let mut chassis = chassis(grace, &registry);
    chassis.spawn("stubborn", std::future::pending());
    let running = start(chassis, &registry).await;
    let began = Instant::now();
    let error = running.stop().await.unwrap_err().to_string();
    assert_eq!(error, "toy: stubborn did not end in time");
    assert!(began.elapsed() < GRACE / 2, "{:?}", began.elapsed());
}
