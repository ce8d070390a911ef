//! What a reload can change, and what it shows.

use flotilla_config::{Reference, RemoteLayer, Secrets, Setting};

use crate::shop::{Shop, load, loaded, problems, shown, sources};

#[test]
fn live_settings_change_with_a_reload_and_others_need_a_restart() {
    let old = loaded(&sources(&[])).settings;
    let new = loaded(&sources(&[("FLOTILLA__SAGA__TICK", "2s"), ("FLOTILLA__SAGA__WORKERS", "2")])).settings;
    let mut changes = Vec::new();
    old.differ(&new, "", &mut changes);
    let changes: Vec<(&str, bool)> = changes.iter().map(|change| (change.name.as_str(), change.live)).collect();
    assert_eq!(changes, [("saga.tick", true), ("saga.workers", false)]);
}

#[test]
fn adopting_settings_changes_all_clones_and_notifies_only_of_changes() {
    let old = loaded(&sources(&[])).settings;
    let (tick, mut ticks, mut batches) = (old.saga.tick.clone(), old.saga.tick.subscribe(), old.saga.batch.subscribe());
    ticks.mark_unchanged();
    batches.mark_unchanged();
    old.adopt(&loaded(&sources(&[("FLOTILLA__SAGA__TICK", "2s")])).settings);
    assert_eq!(tick.get().to_string(), "2s");
    assert!(ticks.has_changed().unwrap() && !batches.has_changed().unwrap());
}

#[test]
fn a_resolved_reference_is_masked_wherever_it_is_used() {
    let vault = "vault://secret/shop#password";
    let sources =
        sources(&[("FLOTILLA__BROKER__PASSWORD", vault), ("FLOTILLA__BROKER__URL", "vault://secret/shop#url")]);
    let merged = sources.merge(&Reference::of::<Shop>(), &RemoteLayer::default()).unwrap();
    let found: Vec<(String, String)> =
        merged.references().into_iter().map(|found| (found.setting, found.reference)).collect();
    assert_eq!(found[0], ("broker.password".to_owned(), vault.to_owned()));
    let unresolved = "broker.password: refers to a secret in vault, which was not resolved (from \
                      FLOTILLA__BROKER__PASSWORD)";
    assert_eq!(problems(&sources)[0], unresolved);

    let secrets = Secrets::from([
        (vault.to_owned(), "hunter2".to_owned().into()),
        ("vault://secret/shop#url".to_owned(), "nats://hunter2".to_owned().into()),
    ]);
    let loaded = load(&sources, &RemoteLayer::default(), &secrets).unwrap();
    assert_eq!(loaded.settings.broker.url.as_str(), "nats://hunter2");
    let source = format!("{vault} by FLOTILLA__BROKER__PASSWORD");
    assert_eq!(shown(&loaded, "broker.password"), (Some("****".to_owned()), source));
    assert!(!loaded.effective.text().contains("hunter2"), "{}", loaded.effective.text());
}

#[test]
fn the_reference_describes_each_setting_as_its_field_does() {
    let reference = Reference::of::<Shop>();
    let tick = reference.find("saga.tick").unwrap();
    assert_eq!((tick.doc.as_str(), tick.default.as_deref()), ("Interval of checks.", Some("1s")));
    assert!(tick.live && !tick.required && !tick.secret);
    let password = reference.find("broker.password").unwrap();
    assert!(password.secret && password.live && !password.required && password.default.is_none());
    let environment = reference.find("service.environment").unwrap();
    assert_eq!(environment.kind.choices(), ["development", "production"]);
    assert_eq!(environment.aliases, ["SHOP_ENVIRONMENT"]);
    assert!(reference.table("saga").contains("| `saga.tick` | duration |"), "{}", reference.table("saga"));
}
