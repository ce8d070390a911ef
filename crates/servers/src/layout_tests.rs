use std::time::{Duration, Instant};

use super::record::SHARED;
use super::*;

/// A layout in its own folder; a home outside it is removed too.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Layout {
        Layout::open(&self.0.path().join(".flotilla")).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let home = self.open().home;
        if home.starts_with(SHARED) {
            std::fs::remove_dir_all(home).unwrap();
        }
    }
}

#[test]
fn an_instance_in_use_is_neither_swept_nor_forgotten() {
    let place = Place::new();
    let layout = place.open();
    let used = layout.data("test-1").unwrap();
    let left = layout.data("test-2").unwrap();
    let claim = layout.claim("test-1").unwrap().unwrap();
    assert_eq!(layout.sweep("test-").unwrap(), 1);
    assert!(used.exists() && !left.exists());
    let names = ["test-1".to_owned()];
    assert!(layout.forget(&names).unwrap_err().to_string().contains("test-1 still runs"));
    drop(claim);
    // A child that another test is starting holds the file of the lock until it is executed.
    let deadline = Instant::now() + Duration::from_secs(10);
    while layout.forget(&names).is_err() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(!used.exists());
}

#[test]
fn only_the_named_instances_are_forgotten_and_none_with_a_similar_prefix() {
    let place = Place::new();
    let layout = place.open();
    let (own, other) = (layout.data("ux-postgres").unwrap(), layout.data("ux-2-postgres").unwrap());
    for log in ["ux-postgres.log", "ux-postgres.log.1", "ux-postgres.logs", "ux-2-postgres.log"] {
        std::fs::write(layout.root().join("logs").join(log), b"").unwrap();
    }
    layout.forget(&["ux-postgres".to_owned(), "ux-nats".to_owned()]).unwrap();
    assert!(!own.exists() && other.exists());
    let mut left: Vec<_> = std::fs::read_dir(layout.root().join("logs")).unwrap().collect::<Result<_, _>>().unwrap();
    left.sort_by_key(std::fs::DirEntry::file_name);
    assert_eq!(
        left.iter().map(std::fs::DirEntry::file_name).collect::<Vec<_>>(),
        ["ux-2-postgres.log", "ux-postgres.logs"]
    );
    assert_eq!(data_below(layout.root(), "ux-2-postgres"), Some(other));
    assert_eq!(data_below(layout.root(), "ux-postgres"), None);
}

#[test]
fn data_is_private_and_a_reopened_layout_has_the_same_folders() {
    let place = Place::new();
    let first = place.open();
    let data = first.data("nats").unwrap();
    assert_eq!(std::fs::metadata(&data).unwrap().mode() & 0o777, 0o700);
    let second = place.open();
    assert_eq!(second.data("nats").unwrap(), data);
    assert_eq!(second.cache(), first.cache());
}

#[test]
fn a_name_with_a_path_is_refused() {
    assert!(check_name("../etc").is_err());
    assert!(check_name("").is_err());
    assert!(check_name("postgres-12_a").is_ok());
}
