//! CPU time and memory of the fleet's processes during a measurement, and the CPU time of other processes.

use std::collections::BTreeSet;

use flotilla_process::{self, Memory};

use crate::fleet::Member;

/// Counters at one moment.
pub struct Snapshot {
    processes: Vec<(String, bool, u64, Memory)>,
    machine: Option<(u64, u64)>,
}

impl Snapshot {
    /// Reads the counters of every process of the members, and of this process.
    #[must_use]
    pub fn take(members: &[Member]) -> Self {
        let mut counted = BTreeSet::new();
        let mut processes: Vec<_> = members
            .iter()
            .filter_map(|member| {
                // A process that members share counts once.
                let pid = member.pid.filter(|pid| counted.insert(*pid))?;
                let memory = flotilla_process::memory_of_tree(pid);
                Some((
                    member.process().to_owned(),
                    member.is_service,
                    flotilla_process::cpu_ticks_of_tree(pid).unwrap_or_default(),
                    memory,
                ))
            })
            .collect();
        let own = std::process::id();
        let ticks = flotilla_process::cpu_ticks_of_tree(own).unwrap_or_default();
        processes.push(("load generator".to_owned(), false, ticks, flotilla_process::memory(own)));
        Self { processes, machine: flotilla_process::machine_ticks() }
    }

    /// The usage up to now: memory, and CPU time since each process began, for one order.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.since(self, 1)
    }

    /// The usage since an earlier snapshot, for so many orders.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "ticks and orders stay far below 2^52")]
    pub fn since(&self, earlier: &Self, orders: i64) -> Usage {
        let per_second = flotilla_process::ticks_per_second().max(1) as f64;
        let mut own_ticks = 0;
        let processes = self
            .processes
            .iter()
            .zip(&earlier.processes)
            .map(|((name, is_service, ticks, memory), (_, _, before, _))| {
                let used = ticks.saturating_sub(*before);
                own_ticks += used;
                Process {
                    name: name.clone(),
                    is_service: *is_service,
                    cpu_us_per_order: used as f64 / per_second * 1e6 / orders.max(1) as f64,
                    memory: *memory,
                }
            })
            .collect();
        let foreign_percent = match (self.machine, earlier.machine) {
            (Some((busy, all)), Some((busy_before, all_before))) => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
                let foreign = (busy - busy_before).saturating_sub(own_ticks) as f64;
                foreign / (all - all_before).max(1) as f64 * cores * 100.0
            }
            _ => f64::NAN,
        };
        Usage { processes, foreign_percent }
    }
}

/// One process over a measurement.
pub struct Process {
    /// Its name.
    pub name: String,
    /// Whether it is a service.
    pub is_service: bool,
    /// CPU time for each order, in microseconds.
    pub cpu_us_per_order: f64,
    /// Memory at the end.
    pub memory: Memory,
}

/// All processes over a measurement.
pub struct Usage {
    /// Servers, services, and the load generator.
    pub processes: Vec<Process>,
    /// What others used, in per cent of one core.
    pub foreign_percent: f64,
}

impl Usage {
    /// Memory of the services together.
    #[must_use]
    pub fn services(&self) -> Memory {
        self.processes.iter().filter(|process| process.is_service).fold(Memory::default(), |sum, process| Memory {
            resident: sum.resident + process.memory.resident,
            proportional: sum.proportional + process.memory.proportional,
        })
    }
}
