use std::os::unix::fs::{MetadataExt, PermissionsExt};

use flotilla_servers::{Layout, provision};

#[tokio::test]
async fn a_settled_machine_is_provisioned_without_a_word() {
    let ground = crate::support::Ground::new().await;
    let again = provision(&ground.layout, &|line| panic!("nothing to say, but: {line}")).await.unwrap();
    assert_eq!(again, ground.binaries);
}

#[test]
fn roots_servers_live_where_their_user_can_reach_them() {
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

    // A home that isn't the user's any more is not used again.
    std::os::unix::fs::chown(&home, Some(0), Some(0)).unwrap();
    let other = Layout::open(&root).unwrap();
    assert_ne!(other.cache(), layout.cache());
    for home in [home, other.cache().parent().unwrap().to_owned()] {
        std::fs::remove_dir_all(home).unwrap();
    }
}
