use crate::{SERVERS, command::reset, home::Home};

use super::*;

/// A temporary folder with homes and a folder of servers that they share.
struct Room(tempfile::TempDir);

impl Room {
    /// The servers' user can access it, so that the data stay there.
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let room = tempfile::tempdir().unwrap();
        fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["a", "b", "c"] {
            fs::create_dir(room.path().join(folder)).unwrap();
        }
        Self(room)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// Opens a home that uses the shared servers.
    fn home(&self, name: &str) -> Home {
        Home::open(&self.path(name), Some(&self.path("servers"))).unwrap()
    }
}

/// Creates the data that a first `up` leaves.
fn fill(home: &Home) -> Vec<PathBuf> {
    home.remember_place().unwrap();
    let layout = flotilla_servers::Layout::open(home.servers()).unwrap();
    SERVERS.map(|name| layout.data(&home.server_name(name)).unwrap()).to_vec()
}

#[test]
fn homes_whose_paths_end_alike_share_no_data_and_a_reset_of_one_leaves_the_others() {
    let room = Room::new();
    let (one, other, longer) = (room.home("a/ux"), room.home("b/ux"), room.home("c/ux-2"));
    let kept = [fill(&one), fill(&longer)].concat();
    let gone = fill(&other);
    reset::reset(&other).unwrap();
    assert!(kept.iter().all(|folder| folder.exists()), "{kept:?}");
    assert!(!gone.iter().any(|folder| folder.exists()), "{gone:?}");
    reset::reset(&one).unwrap();
    assert!(fill(&longer).iter().all(|folder| folder.exists()));
}

#[test]
fn the_folder_of_servers_is_remembered_and_another_is_refused_until_a_reset() {
    let room = Room::new();
    let home = room.home("a/ux");
    let data = fill(&home);
    let again = Home::open(home.root(), None).unwrap();
    assert_eq!((again.servers(), again.server_name("nats")), (home.servers(), home.server_name("nats")));
    let refusal = Home::open(home.root(), Some(&room.path("others"))).unwrap_err().to_string();
    assert!(
        refusal.contains("has its data in") && refusal.contains(&home.servers().display().to_string()),
        "{refusal}"
    );
    reset::reset(&again).unwrap();
    assert!(!data[0].exists());
    let elsewhere = Home::open(home.root(), Some(&room.path("others"))).unwrap();
    assert_eq!((elsewhere.servers(), elsewhere.id()), (&*room.path("others"), home.id()));
}

#[test]
fn a_home_with_data_of_its_own_does_not_use_other_servers() {
    let room = Room::new();
    let own = Home::open(&room.path("a/ux"), None).unwrap();
    // The layout of a build without records.
    let layout = flotilla_servers::Layout::open(own.servers()).unwrap();
    layout.data("postgres").unwrap();
    let refusal = Home::open(own.root(), Some(&room.path("servers"))).unwrap_err().to_string();
    assert!(refusal.contains("has its data in it"), "{refusal}");
    assert_eq!(Home::open(own.root(), Some(own.root())).unwrap().server_name("postgres"), "postgres");
}

#[test]
fn data_that_an_earlier_version_named_belong_to_the_home_that_last_ran_on_them() {
    let room = Room::new();
    let layout = flotilla_servers::Layout::open(&room.path("servers")).unwrap();
    let cluster = layout.data("ux-postgres").unwrap().join("cluster");
    fs::create_dir(&cluster).unwrap();
    fs::write(cluster.join("postmaster.opts"), "/bin/postgres \"-D\" \"x\" \"-p\" \"40001\"\n").unwrap();
    for (name, port, mine) in [("a/ux", 40_001, true), ("b/ux", 40_002, false)] {
        let root = room.path(name);
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("server-ports.json"), format!("{{\"postgres\": {port}}}")).unwrap();
        fs::write(root.join("env"), "").unwrap();
        let forgetful = Home::open(&root, None).unwrap_err().to_string();
        assert!(forgetful.contains("pass --servers once more"), "{forgetful}");
        assert_eq!(room.home(name).server_name("postgres") == "ux-postgres", mine, "{name}");
    }
    reset::reset(&room.home("b/ux")).unwrap();
    assert!(cluster.exists());
    reset::reset(&room.home("a/ux")).unwrap();
    assert!(!cluster.exists());
}

#[test]
fn a_copied_home_is_another_and_a_moved_one_the_same() {
    let room = Room::new();
    let home = room.home("a/ux");
    fill(&home);
    let copy = room.path("b/ux");
    fs::create_dir_all(&copy).unwrap();
    fs::copy(home.root().join(FILE), copy.join(FILE)).unwrap();
    let copy = room.home("b/ux");
    assert_ne!((copy.id(), copy.server_name("nats")), (home.id(), home.server_name("nats")));
    fs::rename(home.root(), room.path("c/moved")).unwrap();
    let moved = Home::open(&room.path("c/moved"), None).unwrap();
    assert_eq!((moved.id(), moved.server_name("nats")), (home.id(), home.server_name("nats")));
}

#[test]
fn a_copy_of_a_home_that_was_moved_afterwards_is_another() {
    let room = Room::new();
    let home = room.home("a/ux");
    let data = fill(&home);
    let copy = room.path("b/ux");
    fs::create_dir_all(&copy).unwrap();
    fs::copy(home.root().join(FILE), copy.join(FILE)).unwrap();
    fs::rename(home.root(), room.path("c/moved")).unwrap();
    let copy = Home::open(&copy, None).unwrap();
    assert_ne!(copy.id(), home.id());
    reset::reset(&copy).unwrap();
    assert!(data.iter().all(|folder| folder.exists()), "{data:?}");
    assert_eq!(Home::open(&room.path("c/moved"), None).unwrap().id(), home.id());
}

#[test]
fn containers_belong_to_one_home_too() {
    let room = Room::new();
    let (one, other) = (room.home("a/.flotilla"), room.home("b/.flotilla"));
    assert_ne!(one.project(), other.project());
    assert!(one.project().starts_with("flotilla-flotilla-"), "{}", one.project());
    one.remember_project().unwrap();
    fs::create_dir_all(one.containers()).unwrap();
    assert_eq!(Home::open(one.root(), None).unwrap().project(), one.project());
    // The layout of an earlier version.
    fs::create_dir_all(other.containers()).unwrap();
    assert_eq!(Home::open(other.root(), None).unwrap().project(), "flotilla");
}

#[test]
fn suggested_commands_name_the_given_home() {
    let room = Room::new();
    let home = room.home("a/ux");
    let given = home.root().display();
    let text = home.naming("run `make up`, `fleet logs archive` shows more; `make build` is unchanged");
    assert_eq!(
        text,
        format!(
            "run `fleet --home {given} up`, `fleet --home {given} logs archive` shows more; `make build` is unchanged"
        )
    );
    assert_eq!(home.naming(&text), text, "the home is named only once");
    assert_eq!(room.home("a/a b").command("reset"), format!("fleet --home '{}' reset", room.path("a/a b").display()));
}
