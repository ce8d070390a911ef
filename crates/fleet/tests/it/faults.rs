//! A fleet that was started without `--faults` allows none.

use flotilla_fleet::SERVICES;

use crate::fleet::fleet;

#[tokio::test]
async fn a_fleet_allows_no_faults_by_default_and_says_how_to_allow_them() {
    let fleet = fleet().await;
    for service in SERVICES {
        let refused = fleet.command(&["fault", "on", "slow-database", "--service", service]).await;
        let home = fleet.home.root().display();
        let advice = format!(
            "{service} doesn't allow faults; to allow them, run `fleet --home {home} down`, then `fleet --home {home} up --faults`"
        );
        assert!(!refused.success && refused.stderr.contains(&advice), "{refused:?}");
    }
    let list = fleet.command(&["fault", "list"]).await;
    assert!(list.success && list.stdout.contains("no service allows faults"), "{list:?}");
    for fault in ["slow-database", "leaking-pool"] {
        assert!(list.stdout.lines().any(|line| line.starts_with(fault) && line.contains("docs/runbooks/")), "{list:?}");
    }
    let late = fleet.command(&["up", "--faults"]).await;
    assert!(!late.success && late.stderr.contains("without faults: run `fleet --home "), "{late:?}");
    let unknown = fleet.command(&["fault", "on", "slow-disk"]).await;
    assert!(!unknown.success && unknown.stderr.contains("use one of slow-database"), "{unknown:?}");
}
