//! Faults on the admin port: where they are allowed, and nowhere else.

use flotilla_config::{Problems, Setting as _};
use flotilla_fault::Fault;
use flotilla_service::{Chassis, Environment, Running, ServiceSettings};
use flotilla_telemetry::Registry;

use crate::toy::{get, send, start};

fn settings(faults: bool, environment: Environment) -> ServiceSettings {
    ServiceSettings { faults, environment, ..ServiceSettings::default() }
}

async fn running(settings: &ServiceSettings) -> (Running, flotilla_fault::Faults) {
    let registry = Registry::new();
    let chassis = Chassis::new("toy", settings, &registry);
    let faults = chassis.faults();
    faults.declare(&[Fault::SlowDatabase, Fault::BrokerStall]);
    (start(chassis, &registry).await, faults)
}

#[tokio::test]
async fn a_fault_is_switched_on_shown_and_switched_off() {
    let (running, faults) = running(&settings(true, Environment::Development)).await;
    let admin = running.admin;
    let (status, list) = get(admin, "/faults").await;
    assert_eq!(
        (status, list.as_str()),
        (200, r#"[{"name":"slow-database","on":false},{"name":"broker-stall","on":false}]"#)
    );

    let (status, body) =
        send(admin, "PUT", "/faults/slow-database", r#"{"for":"30s","delay":"250ms","share":50}"#).await;
    assert_eq!(status, 200, "{body}");
    assert!(
        body.contains(r#""on":true"#) && body.contains(r#""delay":"250ms""#) && body.contains(r#""share":50"#),
        "{body}"
    );
    let injection = faults.active(Fault::SlowDatabase).unwrap();
    assert_eq!((injection.lasts.as_secs(), injection.delay.as_millis(), injection.share), (30, 250, 50));
    let (_, metrics) = get(admin, "/metrics").await;
    assert!(metrics.contains(r#"flotilla_fault_active{fault="slow-database"} 1"#), "{metrics}");

    assert_eq!(send(admin, "DELETE", "/faults/slow-database", "").await.0, 200);
    assert!(faults.active(Fault::SlowDatabase).is_none());
    assert_eq!(send(admin, "PUT", "/faults/broker-stall", "").await.0, 200, "everything has a default");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_invalid_fault_is_refused_and_named() {
    let (running, faults) = running(&settings(true, Environment::Development)).await;
    let refused = async |name: &str, body: &str| send(running.admin, "PUT", &format!("/faults/{name}"), body).await;
    for (name, body, status, said) in [
        ("slow-disk", "", 404, r#"unknown fault \"slow-disk\"; use one of"#),
        ("slow-databse", "", 404, "use one of slow-database"),
        ("declined-payments", "", 404, "has no effect in this service"),
        ("slow-database", r#"{"for":"2h"}"#, 400, "for must be"),
        ("slow-database", r#"{"delay":"1m"}"#, 400, "delay must be"),
        ("slow-database", r#"{"share":0}"#, 400, "share must be"),
        ("slow-database", r#"{"forever":true}"#, 400, "forever"),
        ("broker-stall", r#"{"share":50}"#, 400, "broker-stall has no share"),
    ] {
        let (answered, text) = refused(name, body).await;
        assert!(answered == status && text.contains(said), "{name} {body}: {answered} {text}");
    }
    assert!(faults.report().iter().all(|report| report.on.is_none()));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn without_the_setting_there_are_no_routes_and_nothing_can_be_injected() {
    let (running, faults) = running(&settings(false, Environment::Development)).await;
    assert_no_faults(&running, &faults).await;
    running.stop().await.unwrap();
}

/// Also where validation was passed by: the chassis itself allows none in production.
#[tokio::test]
async fn in_production_there_are_no_routes_and_nothing_can_be_injected() {
    let (running, faults) = running(&settings(true, Environment::Production)).await;
    assert_no_faults(&running, &faults).await;
    running.stop().await.unwrap();
}

async fn assert_no_faults(running: &Running, faults: &flotilla_fault::Faults) {
    assert_eq!(get(running.admin, "/faults").await.0, 404);
    assert_eq!(send(running.admin, "PUT", "/faults/slow-database", "").await.0, 404);
    assert!(faults.turn_on(Fault::SlowDatabase, flotilla_fault::Injection::default()).is_err());
    assert!(faults.active(Fault::SlowDatabase).is_none());
    let (_, metrics) = get(running.admin, "/metrics").await;
    assert!(metrics.contains(r#"flotilla_fault_active{fault="slow-database"} 0"#), "{metrics}");
}

#[test]
fn faults_in_production_are_an_error_of_the_settings_that_names_the_setting() {
    let problems = |faults, environment| {
        let mut problems = Problems::default();
        problems.within("service", |problems| settings(faults, environment).check(problems));
        format!("{problems:?}")
    };
    let named = problems(true, Environment::Production);
    assert!(named.contains("faults") && named.contains("must not be set in production"), "{named}");
    for (faults, environment) in [(true, Environment::Development), (false, Environment::Production)] {
        assert!(!problems(faults, environment).contains("faults"), "{faults} {environment:?}");
    }
}
