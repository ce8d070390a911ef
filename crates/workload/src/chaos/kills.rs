//! Which members chaos kills: never so many that the fleet can't make progress.
//!
//! Members that share a process die together, and count as one. Kills follow the clock, while starts take as long as the
//! machine needs. If every member could be killed at any time, a slow machine would never have the gateway and orders up
//! together, and no order would succeed.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use flotilla_process::Signal;

use crate::fleet::{Member, Supervisor};

/// Maximum number of processes that are down at a time; it allows two concurrent faults.
const MOST_DOWN: usize = 2;

/// The processes that have been killed during their present start.
#[derive(Default)]
pub struct Kills(BTreeSet<String>);

impl Kills {
    /// Sends SIGKILL to a ready member or, once per outage, to one that is starting.
    ///
    /// # Errors
    /// If it isn't running, was already killed in this outage, or too many members are down.
    pub fn kill(&mut self, supervisor: &impl Supervisor, name: &str) -> Result<()> {
        let pid = self.choose(&supervisor.members()?, name)?;
        flotilla_process::signal(pid, Signal::KILL)
    }

    fn choose(&mut self, members: &[Member], name: &str) -> Result<u32> {
        let member = find(members, name)?;
        let pid = running(member)?;
        if member.start_ms.is_some() {
            let down = members.iter().filter(|member| member.start_ms.is_none()).map(Member::process);
            let down = down.collect::<BTreeSet<_>>().len();
            ensure!(down < MOST_DOWN, "{down} processes are down already");
            self.0.remove(member.process());
        } else {
            ensure!(self.0.insert(member.process().to_owned()), "{name} was killed while it started");
        }
        Ok(pid)
    }
}

/// Sends SIGKILL to a running member.
///
/// # Errors
/// If it isn't running at the moment.
pub fn kill(supervisor: &impl Supervisor, name: &str) -> Result<()> {
    flotilla_process::signal(running(find(&supervisor.members()?, name)?)?, Signal::KILL)
}

/// The member of this name.
///
/// # Errors
/// If the fleet has none.
pub fn find<'a>(members: &'a [Member], name: &str) -> Result<&'a Member> {
    members.iter().find(|member| member.name == name).with_context(|| format!("the fleet has no member {name:?}"))
}

fn running(member: &Member) -> Result<u32> {
    member.pid.with_context(|| format!("{} isn't running", member.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fleet with these members: name, whether it is running, whether it is ready.
    fn fleet(members: &[(&str, bool, bool)]) -> Vec<Member> {
        let member = |&(name, runs, serves): &(&str, bool, bool)| Member {
            name: name.to_owned(),
            address: String::new(),
            admin: None,
            pid: runs.then_some(1),
            start_ms: serves.then_some(1),
            is_service: true,
            process: None,
        };
        members.iter().map(member).collect()
    }

    #[test]
    fn at_most_two_members_are_down_at_a_time() {
        let one_down = fleet(&[("a", true, true), ("b", false, false), ("c", true, true)]);
        assert!(Kills::default().choose(&one_down, "a").is_ok());
        let two_down = fleet(&[("a", true, true), ("b", false, false), ("c", true, false)]);
        assert!(Kills::default().choose(&two_down, "a").is_err());
    }

    #[test]
    fn a_member_is_killed_once_while_it_starts_and_again_only_after_it_was_ready() {
        let (starting, serving) = (fleet(&[("a", true, false)]), fleet(&[("a", true, true)]));
        let mut kills = Kills::default();
        assert!(kills.choose(&starting, "a").is_ok());
        assert!(kills.choose(&starting, "a").is_err());
        assert!(kills.choose(&serving, "a").is_ok());
        assert!(kills.choose(&starting, "a").is_ok());
    }

    #[test]
    fn members_of_one_process_count_as_one() {
        let shared = |ready| {
            let members = fleet(&[("a", true, ready), ("b", true, ready), ("c", true, ready)]);
            members.into_iter().map(|member| Member { process: Some("all".to_owned()), ..member })
        };
        let with_server: Vec<_> = shared(false).chain(fleet(&[("nats", true, true)])).collect();
        assert!(Kills::default().choose(&with_server, "nats").is_ok(), "one process is down");
        let (starting, mut kills) = (shared(false).collect::<Vec<_>>(), Kills::default());
        assert!(kills.choose(&starting, "a").is_ok());
        assert!(kills.choose(&starting, "b").is_err(), "it was killed as a already");
        assert!(kills.choose(&shared(true).collect::<Vec<_>>(), "c").is_ok());
        assert!(kills.choose(&starting, "b").is_ok());
    }

    #[test]
    fn a_member_that_is_not_running_is_not_counted_as_killed() {
        let mut kills = Kills::default();
        assert!(kills.choose(&fleet(&[("a", false, false)]), "a").is_err());
        assert!(kills.choose(&fleet(&[("a", true, false)]), "a").is_ok());
    }
}
