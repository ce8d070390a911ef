//! Tests of the switches.

use prometheus::{Encoder as _, TextEncoder};

use super::*;

fn all_supported(faults: Faults) -> Faults {
    faults.declare(&Fault::ALL);
    faults
}

fn lasting(seconds: u64) -> Injection {
    Injection { lasts: Duration::from_secs(seconds), ..Injection::default() }
}

#[tokio::test(start_paused = true)]
async fn a_fault_ends_by_itself_when_its_time_is_over() {
    let faults = all_supported(Faults::allowed());
    faults.turn_on(Fault::BrokerStall, lasting(60)).unwrap();
    assert!(faults.active(Fault::BrokerStall).is_some());
    assert!(faults.active(Fault::SlowDatabase).is_none());
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(faults.active(Fault::BrokerStall).is_some());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(faults.active(Fault::BrokerStall).is_none());
    assert_eq!(faults.inner.on.load(Ordering::Relaxed), 0, "the fast path sees its end too");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_fault_expires_or_is_turned_off() {
    let faults = all_supported(Faults::allowed());
    faults.until_off(Fault::StuckConsumer).await;
    let began = Instant::now();
    faults.turn_on(Fault::StuckConsumer, lasting(30)).unwrap();
    faults.until_off(Fault::StuckConsumer).await;
    assert_eq!(began.elapsed(), Duration::from_secs(30));

    faults.turn_on(Fault::StuckConsumer, lasting(30)).unwrap();
    let began = Instant::now();
    let switcher = faults.clone();
    let (waited, ()) = tokio::join!(
        async {
            faults.until_off(Fault::StuckConsumer).await;
            began.elapsed()
        },
        async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(switcher.turn_off(Fault::StuckConsumer));
        }
    );
    assert_eq!(waited, Duration::from_secs(5));
    assert!(!faults.turn_off(Fault::StuckConsumer), "it was off");
}

#[tokio::test(start_paused = true)]
async fn kept_values_are_dropped_when_the_fault_ends() {
    let faults = all_supported(Faults::allowed());
    let thing = Arc::new(());
    faults.keep(Fault::LeakingPool, Box::new(Arc::clone(&thing)));
    assert_eq!(Arc::strong_count(&thing), 1, "nothing is kept for a fault that is off");
    for turn_off in [true, false] {
        faults.turn_on(Fault::LeakingPool, lasting(10)).unwrap();
        faults.keep(Fault::LeakingPool, Box::new(Arc::clone(&thing)));
        assert_eq!((faults.kept(Fault::LeakingPool), Arc::strong_count(&thing)), (1, 2));
        if turn_off {
            faults.turn_off(Fault::LeakingPool);
        } else {
            faults.until_off(Fault::LeakingPool).await;
        }
        assert_eq!((faults.kept(Fault::LeakingPool), Arc::strong_count(&thing)), (0, 1));
    }
}

#[test]
fn exactly_the_share_of_each_hundred_operations_is_affected() {
    let faults = all_supported(Faults::allowed());
    for share in [1, 7, 30, 50, 99, 100] {
        faults.turn_on(Fault::DeclinedPayments, Injection { share, ..Injection::default() }).unwrap();
        let affected = (0..1_000).filter(|_| faults.inject(Fault::DeclinedPayments).is_some()).count();
        assert_eq!(affected, usize::from(share) * 10);
    }
    faults.turn_off(Fault::DeclinedPayments);
    assert!(faults.inject(Fault::DeclinedPayments).is_none());
}

#[test]
fn no_fault_can_be_turned_on_where_faults_are_not_allowed() {
    for faults in [Faults::forbidden(), Faults::default()] {
        let faults = all_supported(faults);
        for fault in Fault::ALL {
            assert_eq!(faults.turn_on(fault, Injection::default()), Err(Refused::NotAllowed));
            assert!(faults.active(fault).is_none() && faults.inject(fault).is_none());
        }
    }
}

#[test]
fn unsupported_faults_and_values_out_of_bounds_are_refused() {
    let faults = Faults::allowed();
    faults.declare(&[Fault::SlowDatabase]);
    assert_eq!(faults.turn_on(Fault::BrokerStall, Injection::default()), Err(Refused::Unsupported(Fault::BrokerStall)));
    assert!(faults.turn_on(Fault::SlowDatabase, lasting(3_601)).is_err());
    assert!(faults.turn_on(Fault::SlowDatabase, lasting(3_600)).is_ok());
    assert_eq!(faults.report().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_metric_shows_which_faults_are_on() {
    let (registry, faults) = (Registry::new(), Faults::allowed());
    faults.declare(&[Fault::SlowDatabase, Fault::LeakingPool]);
    faults.register(&registry).unwrap();
    let shown = || {
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    faults.turn_on(Fault::LeakingPool, lasting(10)).unwrap();
    let text = shown();
    assert!(text.contains(r#"flotilla_fault_active{fault="leaking-pool"} 1"#), "{text}");
    assert!(text.contains(r#"flotilla_fault_active{fault="slow-database"} 0"#), "{text}");
    assert!(!text.contains("broker-stall"), "{text}");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(shown().contains(r#"flotilla_fault_active{fault="leaking-pool"} 0"#));
}
