//! Several services in one process: one runtime, one telemetry, one admin port, and calls between them without a socket.
//!
//! The services are the same code, with the same settings, as in processes of their own; a variable of one service alone
//! has its name in it (`FLOTILLA_ORDERS__SAGA__TICK`). Guarantees:
//! * Calls between the services keep their layers: deadlines, limits, tokens, rules for peers. The name of the calling
//!   service is what the process says it is.
//! * A service that ends on its own, or fails, stops the whole process with an error, so that its supervisor restarts it.
//! * A shutdown takes at most the longest grace of the services. The first service, which calls the others, drains before
//!   them.

mod drain;
mod flags;
mod member;
mod serve;

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use flotilla_config::Sources;
use flotilla_telemetry::{ServiceScope, Telemetry};
use futures::future::BoxFuture;

use crate::Service;
use crate::cli::{Command, Invocation, USAGE, admin_listen, parse, print, provide_cryptography, unless};
use crate::configuration::{Shape, describe};
use crate::healthcheck::ask_readiness;
use crate::signals::Signals;
use flotilla_telemetry::redact::scrub;
use member::{Loaded, Member};

type Load = fn(Sources) -> BoxFuture<'static, anyhow::Result<Box<dyn Member>>>;

/// The services of a process, in the order of their start.
pub struct OneProcess {
    name: &'static str,
    services: Vec<Known>,
}

/// A service that the process can run.
struct Known {
    name: &'static str,
    load: Load,
    settings: fn() -> String,
    admin_listen: fn(&Sources) -> anyhow::Result<SocketAddr>,
}

impl Known {
    /// Where the service reads its settings from.
    fn sources(&self, services: &[&str], flags: &[String]) -> Sources {
        let own = flags::of(self.name, services, flags);
        Sources::of_process().service_of_several(self.name).arguments(own)
    }
}

impl OneProcess {
    /// A process of this name without services. Add first the service that calls the others: it drains before them.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, services: Vec::new() }
    }

    /// Adds a service.
    #[must_use]
    pub fn with<S: Service>(mut self) -> Self {
        let settings = || describe::<S::Settings>(S::NAME);
        let admin_listen = admin_listen::<S>;
        self.services.push(Known { name: S::NAME, load: Loaded::<S>::load, settings, admin_listen });
        self
    }

    /// The `main` of the process: does what `args` (without the names of program and process) say and returns the exit
    /// code.
    pub async fn run(self, args: impl Iterator<Item = String>) -> ExitCode {
        let Invocation { command, flags } = match parse(args) {
            Ok(invocation) => invocation,
            Err(error) => {
                eprintln!("{}\n\n{}", scrub(&error), self.help());
                return ExitCode::from(USAGE);
            }
        };
        match self.dispatch(command, &flags).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {}", self.name, scrub(&format!("{error:#}")));
                ExitCode::FAILURE
            }
        }
    }

    async fn dispatch(&self, command: Command, flags: &[String]) -> anyhow::Result<()> {
        match command {
            Command::Help => print(&self.help()),
            Command::Version => print(&format!("{} {}", self.name, env!("CARGO_PKG_VERSION"))),
            Command::Settings => {
                print(&self.services.iter().map(|service| (service.settings)()).collect::<Vec<_>>().join("\n"))
            }
            Command::Print(shape) => self.print(shape, flags).await,
            Command::Healthcheck => {
                let first = self.services.first().context("the process has no services")?;
                ask_readiness((first.admin_listen)(&first.sources(&self.names(), flags))?).await
            }
            Command::Serve | Command::Migrate | Command::AwaitMigrations => self.with_telemetry(command, flags).await,
        }
    }

    /// Loads the settings of all services, and reports the mistakes of all of them.
    async fn load(&self, flags: &[String]) -> anyhow::Result<Vec<Box<dyn Member>>> {
        let (mut members, mut problems) = (Vec::new(), Vec::new());
        for service in &self.services {
            let sources = service.sources(&self.names(), flags);
            match ServiceScope::of(service.name).within((service.load)(sources)).await {
                Ok(member) => members.push(member),
                Err(error) => problems.push(format!("{}: {error:#}", service.name)),
            }
        }
        if problems.is_empty()
            && let Err(error) = member::check_agreement(&members)
        {
            problems.push(format!("{error:#}"));
        }
        if problems.is_empty() {
            return Ok(members);
        }
        close(&members).await;
        bail!(problems.join("\n"))
    }

    async fn print(&self, shape: Shape, flags: &[String]) -> anyhow::Result<()> {
        provide_cryptography();
        let members = self.load(flags).await?;
        let printed = member::print(&members, shape);
        close(&members).await;
        print(&printed?)
    }

    async fn with_telemetry(&self, command: Command, flags: &[String]) -> anyhow::Result<()> {
        provide_cryptography();
        // First of all: the first process of a container ignores signals without a handler.
        let mut signals = Signals::listen().context("can't install the signal handlers")?;
        let members = unless(&mut signals, self.load(flags)).await??;
        let first = members.first().context("the process has no services")?;
        let names: Vec<_> = members.iter().map(|member| member.name()).collect();
        let telemetry = flotilla_telemetry::init_shared(self.name, &names, &first.sections().telemetry)?;
        let done = match command {
            Command::Migrate => {
                let migrated = unless(&mut signals, member::migrate(&members)).await;
                migrated.and_then(|done| done).context("migration failed")
            }
            Command::AwaitMigrations => {
                unless(&mut signals, member::await_migrations(&members)).await.and_then(|done| done)
            }
            _ => self.serve(&members, &telemetry, &mut signals).await,
        };
        close(&members).await;
        if let Err(error) = &done {
            tracing::error!(process = self.name, error = format!("{error:#}"), "process failed");
        }
        telemetry.shutdown().await;
        done
    }

    async fn serve(
        &self,
        members: &[Box<dyn Member>],
        telemetry: &Telemetry,
        signals: &mut Signals,
    ) -> anyhow::Result<()> {
        serve::serve(self.name, members, telemetry, signals).await
    }

    fn names(&self) -> Vec<&'static str> {
        self.services.iter().map(|service| service.name).collect()
    }

    fn help(&self) -> String {
        format!(
            "The services {} in one process.\n\n\
             Usage: {} all [serve | migrate | await-migrations | healthcheck | settings] [--section.field=value ...]\n\n\
             The commands are those of a single service, for all of them. A setting of all services is set by\n\
             FLOTILLA__SERVICE__GRACE=10s or --service.grace=10s, that of one service alone by\n\
             FLOTILLA_ORDERS__SAGA__TICK=1s or --orders.saga.tick=1s. The services share one admin port: each has its\n\
             endpoints below its name, such as /orders/readyz.",
            self.names().join(", "),
            self.name,
        )
    }
}

async fn close(members: &[Box<dyn Member>]) {
    for member in members {
        member.close().await;
    }
}
