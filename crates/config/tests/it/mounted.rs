//! Secrets from a mounted directory, as Kubernetes lays it out.

use std::os::unix::fs::symlink;

use flotilla_config::{ExposeSecret, Fingerprint, Reference, RemoteLayer};

use crate::shop::{Folder, Shop, loaded, problems, shown, sources};

/// `..data` links to a directory of one version, and each file links through it.
fn mount(folder: &Folder, version: &str, password: &str) {
    folder.write(&format!("mounted/..{version}/broker.password"), password);
    let link = folder.path().join("mounted/..data_tmp");
    symlink(format!("..{version}"), &link).unwrap();
    std::fs::rename(link, folder.path().join("mounted/..data")).unwrap();
    let file = folder.path().join("mounted/broker.password");
    if !file.is_symlink() {
        symlink("..data/broker.password", file).unwrap();
    }
}

#[test]
fn a_mounted_secret_is_read_through_links_and_masked_and_its_change_is_detected() {
    let folder = Folder::new();
    mount(&folder, "2024", "first\n");
    let at = folder.at("mounted");
    let sources = sources(&[("FLOTILLA_SECRETS_DIR", &at)]);
    let first = loaded(&sources);
    assert_eq!(first.settings.broker.password.get().unwrap().expose_secret(), "first");
    let source = format!("{at}/broker.password");
    assert_eq!(shown(&first, "broker.password"), (Some("****".to_owned()), source));

    let watched = sources.merge(&Reference::of::<Shop>(), &RemoteLayer::default()).unwrap().watched().to_vec();
    let before = Fingerprint::of(&watched);
    assert_eq!(before, Fingerprint::of(&watched));
    mount(&folder, "2025", "again\n");
    assert_ne!(before, Fingerprint::of(&watched));
    assert_eq!(loaded(&sources).settings.broker.password.get().unwrap().expose_secret(), "again");
}

#[test]
fn a_mounted_file_can_be_named_like_the_variable_and_names_with_a_leading_dot_are_skipped() {
    let folder = Folder::new();
    folder.write("mounted/FLOTILLA__BROKER__PASSWORD", "one");
    folder.write("mounted/saga__batch", "7");
    folder.write("mounted/.hidden", "x");
    let loaded = loaded(&sources(&[("FLOTILLA_SECRETS_DIR", &folder.at("mounted"))]));
    assert_eq!(loaded.settings.broker.password.get().unwrap().expose_secret(), "one");
    assert_eq!(loaded.settings.saga.batch.get(), 7);
    assert_eq!(
        shown(&loaded, "saga.batch").0.unwrap(),
        "****",
        "a value from a secret file is masked whatever its type"
    );
}

#[test]
fn an_empty_secret_is_reported() {
    let folder = Folder::new();
    let file = folder.write("mounted/broker.password", "\n");
    let problems = problems(&sources(&[("FLOTILLA_SECRETS_DIR", &folder.at("mounted"))]));
    assert_eq!(problems, [format!("broker.password: its file is empty (from {})", file.display())]);
}
