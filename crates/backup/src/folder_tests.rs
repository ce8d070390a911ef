//! Which base backups, segments and restore points a folder keeps.
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use time::macros::datetime;

use super::*;

const IDENTITY: Identity = Identity { cluster: 7, timeline: 1 };

/// A folder with base backups that ended at the given hours and need the segment of the same number.
fn folder(room: &Path, hours: &[u8]) -> Folder {
    let folder = Folder(room.to_owned());
    fs::create_dir(folder.wal()).unwrap();
    for hour in hours {
        let path = folder.base().join(format!("hour-{hour}"));
        fs::create_dir_all(path.join("cluster")).unwrap();
        let ended = datetime!(2026-01-01 0:00 UTC).replace_hour(*hour).unwrap();
        let first_segment = segment(*hour);
        let note = BaseNote { ended, first_segment, bytes: 1, seconds: 1.0, postgres: "18".to_owned() };
        fs::write(path.join("base.json"), serde_json::to_vec(&note).unwrap()).unwrap();
        fs::write(folder.wal().join(segment(*hour)), b"").unwrap();
    }
    let mark = RestorePoint { name: "early".to_owned(), point: None, at: datetime!(2026-01-01 1:30 UTC) };
    folder.write(&Note { identity: IDENTITY, marks: vec![mark] }).unwrap();
    folder
}

fn segment(number: u8) -> String {
    format!("0000000100000000{number:08X}")
}

#[test]
fn a_restore_begins_with_the_newest_backup_that_ended_before_the_time() {
    let room = tempfile::tempdir().unwrap();
    let folder = folder(room.path(), &[1, 2, 3]);
    let base = |time| folder.base_for(time).map(|base| base.name);
    assert_eq!(base(None).unwrap(), "hour-3");
    assert_eq!(base(Some(datetime!(2026-01-01 2:59 UTC))).unwrap(), "hour-2");
    let early = base(Some(datetime!(2026-01-01 0:59 UTC))).unwrap_err().to_string();
    assert!(early.contains("2026-01-01T01:00:00Z"), "{early}");
}

#[test]
fn wal_that_only_old_backups_need_is_removed_with_them_and_incomplete_backups_do_not_count() {
    let room = tempfile::tempdir().unwrap();
    let folder = folder(room.path(), &[1, 2, 3]);
    fs::create_dir_all(folder.base().join("half/cluster")).unwrap();
    fs::write(folder.wal().join(segment(1) + ".partial"), b"").unwrap();
    assert_eq!(folder.thin(2).unwrap(), ["hour-1"]);
    let names = |folder: &Path| {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(&folder.wal()), [segment(1) + ".partial", segment(2), segment(3)].into());
    assert_eq!(names(&folder.base()), ["hour-2".to_owned(), "hour-3".to_owned()].into());
    assert!(folder.restore_points().unwrap().is_empty(), "there is no way to a point before the oldest backup");
    assert!(folder.thin(2).unwrap().is_empty());
}

#[test]
fn concurrent_restore_points_are_all_recorded_and_base_backups_are_taken_one_at_a_time() {
    let room = tempfile::tempdir().unwrap();
    let folder = folder(room.path(), &[1]);
    let at = datetime!(2026-01-01 2:00 UTC);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let mark = RestorePoint { name: number.to_string(), point: None, at };
            let folder = &folder;
            scope.spawn(move || folder.add_restore_point(mark).unwrap());
        }
    });
    assert_eq!(folder.restore_points().unwrap().len(), 9);
    let claim = folder.claim().unwrap();
    assert!(folder.claim().unwrap_err().to_string().contains("another base backup"));
    drop(claim);
    folder.claim().unwrap();
}

#[test]
fn another_clusters_backups_and_other_folders_are_refused() {
    let room = tempfile::tempdir().unwrap();
    let layout = Layout::open(&room.path().join(".flotilla")).unwrap();
    let path = room.path().join("backup");
    fs::create_dir(&path).unwrap();
    let refused = |identity| Folder::prepare(&layout, &path, identity).unwrap_err().to_string();
    fs::write(path.join("letter"), b"").unwrap();
    assert!(refused(IDENTITY).contains("other files than backups"));
    fs::remove_file(path.join("letter")).unwrap();
    Folder(path.clone()).write(&Note { identity: IDENTITY, marks: Vec::new() }).unwrap();
    assert!(refused(Identity { timeline: 2, ..IDENTITY }).contains("another cluster"));
}
