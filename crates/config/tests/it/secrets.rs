use flotilla_config::{ExposeSecret, Reference, RemoteLayer, Secrets, Sources};

use super::{load, load_with, problems};
use crate::shop::{Folder, Shop, sources};

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn a_value_can_be_read_from_a_file() {
    let (_folder, path) = file("hunter3\n");
    let settings = load(&[
        ("FLOTILLA__LISTEN", "127.0.0.1:80"),
        ("FLOTILLA__DATABASE__URL_FILE", &path),
        ("FLOTILLA__DATABASE__PATIENCE", "5s"),
        ("FLOTILLA__DATABASE__MODE", "fast"),
        ("FLOTILLA__CACHE__URL_FILE", &path),
    ])
    .unwrap();
    assert_eq!(settings.database.url.expose_secret(), "hunter3");
    assert_eq!(settings.cache.url.unwrap().expose_secret(), "hunter3", "also in a section that ignores unknown fields");
}

#[test]
fn a_setting_whose_name_ends_in_file_is_set_by_its_own_variable() {
    let settings = load_with(&[("FLOTILLA__CACHE__READY_FILE", "/run/ready")]).unwrap();
    assert_eq!(settings.cache.ready_file.as_deref(), Some("/run/ready"));
}

#[test]
fn an_unreadable_file_is_reported_once() {
    let found = problems(load(&[
        ("FLOTILLA__LISTEN", "127.0.0.1:80"),
        ("FLOTILLA__DATABASE__URL_FILE", "/nowhere/at/all"),
        ("FLOTILLA__DATABASE__PATIENCE", "5s"),
        ("FLOTILLA__DATABASE__MODE", "fast"),
    ]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("database.url: its file can't be read"), "{found:?}");
}

#[test]
fn a_setting_with_both_a_value_and_a_file_is_refused() {
    let (_folder, path) = file("hunter3");
    let found = problems(load_with(&[("FLOTILLA__DATABASE__URL_FILE", &path)]));
    assert_eq!(
        found,
        ["database.url: is set twice; unset it or FLOTILLA__DATABASE__URL_FILE (from FLOTILLA__DATABASE__URL)"]
    );
}

#[test]
fn a_file_for_an_unknown_setting_is_refused() {
    let (_folder, path) = file("hunter3");
    let found = problems(load_with(&[("FLOTILLA__DATABASE__PASSWORD_FILE", &path)]));
    assert_eq!(found, ["database.password_file: unknown setting (from FLOTILLA__DATABASE__PASSWORD_FILE)"]);
}

#[test]
fn no_secret_is_ever_shown() {
    let secret = "hunter2";
    let shown = format!("{:?}", load_with(&[]).unwrap());
    assert!(!shown.contains(secret), "{shown}");
    // In places where no setting is, and in place of a section.
    for variable in ["DATABASE__URL__X", "DATABASE__PASSWORD", "CACHE", "NO"] {
        let error = load_with(&[(&format!("FLOTILLA__{variable}"), secret)]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
}

#[test]
fn printed_settings_contain_no_secret_from_any_source() {
    const SECRET: &str = "hunter2";
    let folder = Folder::new();
    let file = folder.write("secret", SECRET);
    let file = file.to_str().unwrap();
    folder.write("mounted/broker.password", SECRET);
    folder.write("mounted/broker.topics", SECRET);
    let settings = folder.write("shop.toml", &format!("[broker]\npassword = \"{SECRET}\"\n"));
    let address = format!("nats://me:{SECRET}@host:4222");
    let (user, reference) = (format!("nats://{SECRET}@host:4222"), "vault://secret/shop#password");
    let ways: [(&str, &str, Sources); 10] = [
        ("a variable", "broker.password", sources(&[("FLOTILLA__BROKER__PASSWORD", SECRET)])),
        ("a file of settings", "broker.password", sources(&[("FLOTILLA_CONFIG_FILE", settings.to_str().unwrap())])),
        ("a file of its own", "broker.password", sources(&[("FLOTILLA__BROKER__PASSWORD_FILE", file)])),
        ("a file, in a string", "broker.topics", sources(&[("FLOTILLA__BROKER__TOPICS_FILE", file)])),
        ("a mounted folder", "broker.password", sources(&[("FLOTILLA_SECRETS_DIR", &folder.at("mounted"))])),
        ("a mounted folder, in a string", "broker.topics", sources(&[("FLOTILLA_SECRETS_DIR", &folder.at("mounted"))])),
        ("a store", "broker.password", sources(&[("FLOTILLA__BROKER__PASSWORD", reference)])),
        ("a store, in a string", "broker.topics", sources(&[("FLOTILLA__BROKER__TOPICS", reference)])),
        ("a URL's password", "broker.url", sources(&[("FLOTILLA__BROKER__URL", &address)])),
        ("a URL's token", "broker.url", sources(&[("SHOP_BROKER", &user)])),
    ];
    let stores = Secrets::from([(reference.to_owned(), SECRET.to_owned().into())]);
    for (way, name, sources) in ways {
        let all = Reference::of::<Shop>();
        let loaded = sources.merge(&all, &RemoteLayer::default()).unwrap().read(&all, &stores);
        let effective = loaded.map(|loaded: flotilla_config::Loaded<Shop>| loaded.effective).unwrap();
        let setting = effective.settings().iter().find(|setting| setting.setting == name).unwrap();
        assert!(setting.value.as_deref().is_some_and(|value| value.contains("****")), "{way}: {setting:?}");
        let json = serde_json::to_string(&effective).unwrap();
        for printed in [effective.text(), json] {
            assert!(!printed.contains(SECRET), "{way}: {printed}");
        }
    }
}
