//! The supervisor's state, written to `state.json` at each change.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::{
    certs,
    home::{
        Home,
        state::{Member, Phase, State, with_database},
    },
};

/// Shared by all tasks of the supervisor.
pub struct SharedState {
    home: Home,
    state: Mutex<State>,
    changed: Notify,
}

impl SharedState {
    /// The state before anything runs.
    pub fn new(home: Home) -> Self {
        let state = State {
            supervisor: std::process::id(),
            phase: Phase::Starting("starting".to_owned()),
            members: Vec::new(),
            postgres_url: String::new(),
            nats_url: String::new(),
            redis_url: String::new(),
            sources: String::new(),
            certificates: home.tls().then(|| certs::folder(&home)),
        };
        let shared = Self { home, state: Mutex::new(state), changed: Notify::new() };
        shared.publish(&shared.lock());
        shared
    }

    /// Sets the phase of the fleet.
    pub fn phase(&self, phase: Phase) {
        tracing::info!(?phase, "fleet");
        self.update(|state| state.phase = phase);
    }

    /// Records where the servers came from.
    pub fn sources(&self, sources: String) {
        self.update(|state| state.sources = sources);
    }

    /// Records the superuser's address of PostgreSQL.
    pub fn postgres_url(&self, url: &str) {
        self.update(|state| state.postgres_url = with_database(url, ""));
    }

    /// Records the addresses of NATS and Redis for the fleet's own commands.
    pub fn broker_and_cache(&self, nats_url: &str, redis_url: &str) {
        self.update(|state| {
            nats_url.clone_into(&mut state.nats_url);
            redis_url.clone_into(&mut state.redis_url);
        });
    }

    /// A superuser's URL of a database.
    pub fn database_url(&self, database: &str) -> String {
        with_database(&self.lock().postgres_url, database)
    }

    /// Adds a running server.
    pub fn add_server(&self, name: &str, pid: Option<u32>, address: String, start_ms: Option<u64>) {
        let member = Member {
            name: name.to_owned(),
            pid,
            address,
            admin: None,
            start_ms,
            restarts: 0,
            is_service: false,
            process: None,
        };
        self.update(|state| state.members.push(member));
    }

    /// Adds a service that is about to start, in the process that it shares with others, if it does.
    pub fn add_service(&self, name: &str, grpc: String, admin: &str, process: Option<&str>) {
        let member = Member {
            name: name.to_owned(),
            pid: None,
            address: grpc,
            admin: Some(format!("http://{admin}")),
            start_ms: None,
            restarts: 0,
            is_service: true,
            process: process.map(str::to_owned),
        };
        self.update(|state| state.members.push(member));
    }

    /// Records that a process runs with a new id; `start_ms` is known once it is ready.
    pub fn running(&self, name: &str, pid: u32, start_ms: Option<u64>) {
        self.of(name, |member| {
            member.pid = Some(pid);
            member.start_ms = start_ms;
        });
    }

    /// Records that a process has died.
    pub fn died(&self, name: &str) {
        self.of(name, |member| {
            member.pid = None;
            member.start_ms = None;
            member.restarts += 1;
        });
    }

    /// Records that a process was stopped.
    pub fn stopped(&self, name: &str) {
        self.of(name, |member| {
            member.pid = None;
            member.start_ms = None;
        });
    }

    /// Removes a member.
    pub fn remove(&self, name: &str) {
        self.update(|state| state.members.retain(|member| member.name != name));
    }

    /// Services that haven't become ready since their last start.
    pub fn services_not_started(&self) -> Vec<String> {
        let state = self.lock();
        state.members.iter().filter(|m| m.is_service && m.start_ms.is_none()).map(|m| m.name.clone()).collect()
    }

    /// Whether any of these members hasn't become ready since its last start.
    pub fn any_not_started(&self, names: &[&str]) -> bool {
        self.lock().members.iter().any(|m| names.contains(&m.name.as_str()) && m.start_ms.is_none())
    }

    /// Waits for the next change.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Changes the members of a process.
    fn of(&self, process: &str, change: impl Fn(&mut Member)) {
        self.update(|state| state.members.iter_mut().filter(|member| member.process() == process).for_each(change));
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.publish(&state);
        // One task waits for changes; `notify_one` keeps a permit when it isn't waiting just now.
        self.changed.notify_one();
    }

    fn publish(&self, state: &State) {
        let written = serde_json::to_vec_pretty(state)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| self.home.write_private(&self.home.state(), &bytes));
        if let Err(error) = written {
            tracing::error!(%error, "state can't be written");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
