//! Limits as both versions of control groups write them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use flotilla_cgroup::Limits;

/// The files of a machine, in a temporary folder.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(cgroup: &str, mountinfo: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.file("proc/self/cgroup", cgroup).file("proc/self/mountinfo", mountinfo)
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn limits(&self, cores: usize) -> Limits {
        Limits::read(self.0.path(), cores)
    }
}

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const V1: &str = "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

#[test]
fn limits_of_version_2_are_read() {
    let machine = Machine::new("0::/\n", V2)
        .file("sys/fs/cgroup/cpu.max", "50000 100000\n")
        .file("sys/fs/cgroup/memory.max", "67108864\n");
    assert_eq!(machine.limits(8), Limits { cores: 0.5, memory: Some(64 << 20) });
}

#[test]
fn a_quota_keeps_its_fraction_and_is_bounded_by_the_allowed_cpus() {
    let machine = |list: &str| {
        Machine::new("0::/\n", V2)
            .file("proc/self/status", &format!("Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t{list}\n"))
            .file("sys/fs/cgroup/cpu.max", "150000 100000\n")
    };
    // For such a group the standard library returns one.
    for (list, cores) in [("0-3,8", 1.5), ("5", 1.0), ("0,2", 1.5), ("", 1.0), ("3-1", 1.0)] {
        assert_eq!(machine(list).limits(1), Limits { cores, memory: None }, "{list:?}");
    }
    assert_eq!(machine("0-3").limits(1).threads(), 2);
}

#[test]
fn the_tightest_limit_of_all_parent_groups_applies() {
    let machine = Machine::new("0::/kubepods/pod1/box\n", V2)
        .file("sys/fs/cgroup/kubepods/memory.max", "134217728\n")
        .file("sys/fs/cgroup/kubepods/pod1/memory.max", "max\n")
        .file("sys/fs/cgroup/kubepods/pod1/box/memory.max", "268435456\n")
        .file("sys/fs/cgroup/kubepods/pod1/cpu.max", "150000 100000\n")
        .file("sys/fs/cgroup/kubepods/pod1/box/cpu.max", "max 100000\n");
    assert_eq!(machine.limits(8), Limits { cores: 1.5, memory: Some(128 << 20) });
}

#[test]
fn limits_of_version_1_are_read() {
    let machine = Machine::new("5:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n0::/docker/a\n", V1)
        .file("sys/fs/cgroup/cpu,cpuacct/docker/a/cpu.cfs_quota_us", "50000\n")
        .file("sys/fs/cgroup/cpu,cpuacct/docker/a/cpu.cfs_period_us", "100000\n")
        .file("sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes", "67108864\n");
    assert_eq!(machine.limits(8), Limits { cores: 0.5, memory: Some(64 << 20) });
}

/// In a container without a cgroup namespace, the file has the group's path on the machine, and only that group is mounted.
#[test]
fn version_1_in_a_container_starts_at_its_own_group() {
    let mountinfo = "40 30 0:27 /docker/a /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n\
                     41 30 0:28 /docker/a /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    let machine = Machine::new("5:memory:/docker/a\n3:cpu:/docker/a\n", mountinfo)
        .file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n")
        .file("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
        .file("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
    assert_eq!(machine.limits(8), Limits { cores: 2.0, memory: Some(128 << 20) });
}

#[test]
fn a_group_named_in_another_namespace_is_the_mounted_one() {
    let mountinfo = "41 30 0:28 /docker/a /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    let machine =
        Machine::new("5:memory:/pods/b\n", mountinfo).file("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
    assert_eq!(machine.limits(2).memory, Some(128 << 20));
}

#[test]
fn without_limits_in_either_version_the_machine_is_the_limit() {
    let unlimited = Limits { cores: 8.0, memory: None };
    let second = Machine::new("0::/\n", V2)
        .file("sys/fs/cgroup/cpu.max", "max 100000\n")
        .file("sys/fs/cgroup/memory.max", "max\n");
    let first = Machine::new("5:memory:/\n3:cpu,cpuacct:/\n", V1)
        .file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
        .file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
        .file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    let none = Machine::new("", "");
    assert_eq!([second, first, none].map(|machine| machine.limits(8)), [unlimited; 3]);
}

#[test]
fn a_quota_above_the_machines_cpus_is_reduced_to_them() {
    let machine = Machine::new("0::/\n", V2).file("sys/fs/cgroup/cpu.max", "1600000 100000\n");
    assert!((machine.limits(4).cores - 4.0).abs() < f64::EPSILON);
}

#[test]
fn damaged_files_set_no_limit() {
    let machine = Machine::new("0::/\nnonsense\n", &format!("short\n{V2}"))
        .file("sys/fs/cgroup/cpu.max", "fast\n")
        .file("sys/fs/cgroup/memory.max", "-5\n");
    assert_eq!(machine.limits(2), Limits { cores: 2.0, memory: None });
}

#[test]
fn threads_and_connections_follow_the_cpus() {
    let of = |cores| Limits { cores, memory: None };
    assert_eq!([0.1, 0.5, 1.0, 1.5, 4.0].map(|cores| of(cores).threads()), [1, 1, 1, 2, 4]);
    assert_eq!([0.1, 0.5, 1.0, 2.0, 64.0].map(|cores| of(cores).connections(8)), [2, 2, 4, 8, 8]);
    assert_eq!(of(4.0).connections(1), 1);
}

#[test]
fn pieces_fit_into_their_part_of_the_memory() {
    let small = Limits { cores: 1.0, memory: Some(64 << 20) };
    assert_eq!(small.pieces(10_000, 1024, 64), 1024);
    assert_eq!(small.pieces(10, 1024, 64), 10);
    assert_eq!(small.pieces(10, 1 << 30, 2), 1);
    assert_eq!(Limits { cores: 1.0, memory: None }.pieces(10_000, 1 << 30, 2), 10_000);
}

#[test]
fn this_process_has_at_least_one_thread() {
    assert!(Limits::of_process().threads() >= 1);
    assert!(Limits::read(Path::new("/nowhere"), 0).threads() >= 1);
}
