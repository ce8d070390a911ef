use std::os::unix::fs::{MetadataExt, PermissionsExt};

use flotilla_servers::{Layout, provision};

#[tokio::test]
async fn provisioning_again_prints_nothing() {
    let fixture = crate::support::Fixture::new().await;
    let again = provision(&fixture.layout, &|line| panic!("unexpected output: {line}")).await.unwrap();
    assert_eq!(again, fixture.binaries);
}

#[test]
fn the_home_of_roots_servers_is_reachable_by_their_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Private to root, as a clone under /root is.
    let private = std::fs::Permissions::from_mode(0o700);
    let clone = tempfile::Builder::new().permissions(private).tempdir().unwrap();
    let root = clone.path().join(".flotilla");
    let layout = Layout::open(&root).unwrap();
    let user = layout.run_as().unwrap().clone();
    let home = layout.cache().parent().unwrap().to_owned();
    assert!(home.starts_with("/var/tmp"), "{}", home.display());
    let folder = std::fs::metadata(&home).unwrap();
    assert_eq!((folder.uid(), folder.mode() & 0o777), (user.uid, 0o700));
    assert_eq!(std::fs::metadata(&root).unwrap().mode() & 0o777, 0o700);
    assert_eq!(Layout::open(&root).unwrap().cache(), layout.cache());

    // A home that the user no longer owns isn't used again.
    std::os::unix::fs::chown(&home, Some(0), Some(0)).unwrap();
    let other = Layout::open(&root).unwrap();
    assert_ne!(other.cache(), layout.cache());
    for home in [home, other.cache().parent().unwrap().to_owned()] {
        std::fs::remove_dir_all(home).unwrap();
    }
}
