//! Which members chaos kills: enough to hurt, but never so many that the fleet can't make progress.
//!
//! Kills follow the clock, while starts take as long as the machine needs. If every member could be killed at any time, a
//! slow machine would never have the gateway and orders up together, and no order would succeed.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use flotilla_process::Signal;

use crate::{home::Home, state::State};

/// The most members that are down at a time: enough for two faults to coincide.
const MOST_DOWN: usize = 2;

/// The members that have been killed during their present start.
#[derive(Default)]
pub struct Kills(BTreeSet<String>);

impl Kills {
    /// Sends SIGKILL to a member that serves, or, once in each outage, to one that is starting.
    ///
    /// # Errors
    /// If it doesn't run, was already killed in this outage, or too many members are down.
    pub fn kill(&mut self, home: &Home, name: &str) -> Result<()> {
        let pid = self.choose(&State::of_running(home)?, name)?;
        flotilla_process::signal(pid, Signal::KILL)
    }

    fn choose(&mut self, state: &State, name: &str) -> Result<u32> {
        let pid = running(state, name)?;
        if state.member(name)?.start_ms.is_some() {
            let down = state.members.iter().filter(|member| member.start_ms.is_none()).count();
            ensure!(down < MOST_DOWN, "{down} members are down already");
            self.0.remove(name);
        } else {
            ensure!(self.0.insert(name.to_owned()), "{name} was killed while it started");
        }
        Ok(pid)
    }
}

/// Sends SIGKILL to a member that runs.
///
/// # Errors
/// If it doesn't run at the moment.
pub fn kill(home: &Home, name: &str) -> Result<()> {
    flotilla_process::signal(running(&State::of_running(home)?, name)?, Signal::KILL)
}

fn running(state: &State, name: &str) -> Result<u32> {
    let Some(pid) = state.member(name)?.pid else { bail!("{name} doesn't run") };
    Ok(pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Member, Phase};

    /// A fleet of these members: name, whether it runs, whether it serves.
    fn fleet(members: &[(&str, bool, bool)]) -> State {
        let member = |&(name, runs, serves): &(&str, bool, bool)| Member {
            name: name.to_owned(),
            pid: runs.then_some(1),
            address: String::new(),
            admin: None,
            start_ms: serves.then_some(1),
            restarts: 0,
            is_service: true,
        };
        State {
            supervisor: 1,
            phase: Phase::Ready,
            members: members.iter().map(member).collect(),
            postgres_url: String::new(),
            nats_url: String::new(),
            redis_url: String::new(),
            sources: String::new(),
            certificates: None,
        }
    }

    #[test]
    fn two_members_are_down_at_a_time_and_no_more() {
        let one_down = fleet(&[("a", true, true), ("b", false, false), ("c", true, true)]);
        assert!(Kills::default().choose(&one_down, "a").is_ok());
        let two_down = fleet(&[("a", true, true), ("b", false, false), ("c", true, false)]);
        assert!(Kills::default().choose(&two_down, "a").is_err());
    }

    #[test]
    fn a_member_is_killed_once_while_it_starts_and_again_only_after_it_served() {
        let (starting, serving) = (fleet(&[("a", true, false)]), fleet(&[("a", true, true)]));
        let mut kills = Kills::default();
        assert!(kills.choose(&starting, "a").is_ok());
        assert!(kills.choose(&starting, "a").is_err());
        assert!(kills.choose(&serving, "a").is_ok());
        assert!(kills.choose(&starting, "a").is_ok());
    }

    #[test]
    fn what_does_not_run_is_not_counted_as_killed() {
        let mut kills = Kills::default();
        assert!(kills.choose(&fleet(&[("a", false, false)]), "a").is_err());
        assert!(kills.choose(&fleet(&[("a", true, false)]), "a").is_ok());
    }
}
