//! The command line of a service: `serve`, `migrate`, `await-migrations`, `healthcheck`, and its settings.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use flotilla_cgroup::Limits;
use flotilla_config::{Reference, RemoteLayer, Sources, unknown};
use flotilla_telemetry::Telemetry;
use flotilla_telemetry::redact::scrub;
use tokio_util::sync::CancellationToken;

use crate::configuration::{self, Configuration, Follower, Shape};
use crate::healthcheck::ask_readiness;
use crate::logging;
use crate::schema;
use crate::signals::Signals;
use crate::{Running, Service, ServiceSettings};

/// The commands of a service's binary.
const COMMANDS: [&str; 6] = ["serve", "migrate", "await-migrations", "healthcheck", "settings", "help"];
/// Wrong usage.
pub(crate) const USAGE: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Serve,
    Migrate,
    AwaitMigrations,
    Healthcheck,
    /// List every setting.
    Settings,
    /// Show the values of the settings.
    Print(Shape),
    Help,
    Version,
}

/// The command, and the flags that set settings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub command: Command,
    pub flags: Vec<String>,
}

pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Invocation, String> {
    let mut args = args.peekable();
    let named = args.next_if(|arg| !arg.starts_with('-'));
    let mut command = match named.as_deref() {
        None | Some("serve") => Command::Serve,
        Some("migrate") => Command::Migrate,
        Some("await-migrations") => Command::AwaitMigrations,
        Some("healthcheck") => Command::Healthcheck,
        Some("settings") => Command::Settings,
        Some("help") => Command::Help,
        Some(other) => return Err(unknown("command", other, COMMANDS)),
    };
    let mut flags = Vec::new();
    for arg in args {
        match arg.as_str() {
            "--help" | "-h" => command = Command::Help,
            "--version" | "-V" => command = Command::Version,
            "--print-config" => command = Command::Print(Shape::Text),
            "--print-config=json" => command = Command::Print(Shape::Json),
            flag if flag.starts_with("--") => flags.push(arg),
            // The value of the flag before it.
            _ if flags.last().is_some_and(|flag| flag.starts_with("--") && !flag.contains('=')) => flags.push(arg),
            other => return Err(format!("unexpected argument {other:?}; set a setting by --section.field=value")),
        }
    }
    Ok(Invocation { command, flags })
}

fn help(name: &str) -> String {
    format!(
        "The {name} service of Flotilla.\n\n\
         Usage: {name} [serve | migrate | await-migrations | healthcheck | settings] [--section.field=value ...]\n\n\
         \x20 serve             serve until SIGTERM or SIGINT, then drain (default); SIGHUP reloads the settings\n\
         \x20 migrate           migrate the database\n\
         \x20 await-migrations  wait until another process has migrated the database\n\
         \x20 healthcheck       check whether the running service is ready\n\
         \x20 settings          list all settings with their values, defaults and names\n\
         \x20 --print-config    print the effective settings and their sources (=json: as JSON); secrets are masked\n\
         \x20 --version         print the version\n\n\
         Settings are read from these sources, in ascending order of precedence: defaults, FLOTILLA_CONFIG_DIR,\n\
         FLOTILLA_CONFIG_FILE, the remote source, .env, variables such as FLOTILLA__SERVICE__GRACE=10s,\n\
         FLOTILLA_SECRETS_DIR, variables such as FLOTILLA__POSTGRES__SYSTEM_URL_FILE=path, flags such as\n\
         --service.grace=10s."
    )
}

/// The `main` of a service: does what `args` (without the program's name) say and returns the exit code.
pub async fn run<S: Service>(args: impl Iterator<Item = String>) -> ExitCode {
    let Invocation { command, flags } = match parse(args) {
        Ok(invocation) => invocation,
        Err(error) => {
            eprintln!("{}\n\n{}", scrub(&error), help(S::NAME));
            return ExitCode::from(USAGE);
        }
    };
    let sources = Sources::of_process().service(S::NAME).arguments(flags);
    let done = match command {
        Command::Help => print(&help(S::NAME)),
        Command::Version => print(&format!("{} {}", S::NAME, env!("CARGO_PKG_VERSION"))),
        Command::Settings => print(&configuration::describe::<S::Settings>(S::NAME)),
        Command::Print(shape) => print_config::<S>(sources, shape).await,
        Command::Healthcheck => healthcheck::<S>(&sources).await,
        Command::Serve | Command::Migrate | Command::AwaitMigrations => with_telemetry::<S>(command, sources).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {}", S::NAME, scrub(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    // Not println, which panics if the reader closes the pipe early, as `head` does.
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

async fn print_config<S: Service>(sources: Sources, shape: Shape) -> anyhow::Result<()> {
    provide_cryptography();
    let configuration = Configuration::<S::Settings>::load(S::NAME, sources).await?;
    let printed = configuration.print(shape);
    configuration.close().await;
    print(&printed?)
}

pub(crate) fn provide_cryptography() {
    // Fails only if one is installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn with_telemetry<S: Service>(command: Command, sources: Sources) -> anyhow::Result<()> {
    provide_cryptography();
    // First of all: the first process of a container ignores signals without a handler.
    let mut signals = Signals::listen().context("can't install the signal handlers")?;
    let configuration = unless(&mut signals, Configuration::<S::Settings>::load(S::NAME, sources)).await??;
    let settings = configuration.settings();
    let telemetry = flotilla_telemetry::init(S::NAME, S::common(&settings).telemetry)?;
    let done = match command {
        Command::Migrate => {
            unless(&mut signals, S::migrate(&settings)).await.and_then(|done| done).context("migration failed")
        }
        Command::AwaitMigrations => unless(&mut signals, S::await_migrations(&settings)).await.and_then(|done| done),
        _ => serve::<S>(&configuration, &telemetry, &mut signals).await,
    };
    configuration.close().await;
    if let Err(error) = &done {
        tracing::error!(service = S::NAME, error = format!("{error:#}"), "service failed");
    }
    telemetry.shutdown().await;
    done
}

/// The result of `work`. A signal before its end drops it and is an error: callers that wait for it must not continue.
pub(crate) async fn unless<T>(signals: &mut Signals, work: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::select! {
        done = work => Ok(done),
        signal = signals.next() => bail!("stopped by {signal} before it was done"),
    }
}

async fn serve<S: Service>(
    configuration: &Arc<Configuration<S::Settings>>,
    telemetry: &Telemetry,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let follower = Follower::new(configuration).context("can't install the signal handlers")?;
    let limits = Limits::of_process();
    tracing::info!(cores = limits.cores, memory_bytes = limits.memory, "limits of the control group");
    let running = tokio::select! {
        running = start::<S>(configuration, telemetry) => running?,
        signal = signals.next() => {
            tracing::info!(signal, "stopped while starting");
            return Ok(());
        }
    };
    let stop = CancellationToken::new();
    let following = flotilla_telemetry::spawn(follower.run(stop.clone()));
    let ended = until_signal(running, signals).await;
    stop.cancel();
    following.await.context("reloading failed")?;
    ended
}

/// Builds the service and adds the endpoints of its settings and logs.
pub(crate) async fn start<S: Service>(
    configuration: &Arc<Configuration<S::Settings>>,
    telemetry: &Telemetry,
) -> anyhow::Result<Running> {
    configuration.register(telemetry.registry())?;
    let settings = configuration.settings();
    if let Some(remote) = configuration.remote() {
        // One watcher for settings and flags.
        S::common(&settings).remote.link.attach(remote);
    }
    let found = schema::check::<S>(&settings).await?;
    let running = S::build(settings.clone(), telemetry).await.context("start-up failed")?;
    let running = schema::watched::<S>(running, found, settings);
    running.mount(configuration.routes());
    running.mount(logging::routes(telemetry.log_control()));
    Ok(running)
}

async fn until_signal(running: Running, signals: &mut Signals) -> anyhow::Result<()> {
    let stop = running.stopper();
    let ended = running.wait();
    tokio::pin!(ended);
    tokio::select! {
        ended = &mut ended => return ended,
        signal = signals.next() => tracing::info!(signal, "stopping"),
    }
    stop.cancel();
    tokio::select! {
        ended = &mut ended => ended,
        signal = signals.next() => bail!("stopped at once by a second signal ({signal})"),
    }
}

async fn healthcheck<S: Service>(sources: &Sources) -> anyhow::Result<()> {
    ask_readiness(admin_listen::<S>(sources)?).await
}

/// The address of the admin port. One section is enough: a health check needs no secrets and no secret stores.
pub(crate) fn admin_listen<S: Service>(sources: &Sources) -> anyhow::Result<SocketAddr> {
    let merged = sources.merge(&Reference::of::<S::Settings>(), &RemoteLayer::default())?;
    let settings: ServiceSettings = merged.section("service")?;
    Ok(settings.admin_listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(args.iter().map(ToString::to_string)).map(|invocation| invocation.command)
    }

    #[test]
    fn commands_are_parsed() {
        assert_eq!(parsed(&[]), Ok(Command::Serve));
        assert_eq!(parsed(&["serve"]), Ok(Command::Serve));
        assert_eq!(parsed(&["migrate"]), Ok(Command::Migrate));
        assert_eq!(parsed(&["await-migrations"]), Ok(Command::AwaitMigrations));
        assert_eq!(parsed(&["healthcheck"]), Ok(Command::Healthcheck));
        assert_eq!(parsed(&["settings"]), Ok(Command::Settings));
        assert_eq!(parsed(&["--print-config"]), Ok(Command::Print(Shape::Text)));
        assert_eq!(parsed(&["serve", "--print-config=json", "--saga.tick=1s"]), Ok(Command::Print(Shape::Json)));
        assert_eq!(parsed(&["--help"]), Ok(Command::Help));
        assert_eq!(parsed(&["serve", "--help"]), Ok(Command::Help));
        assert_eq!(parsed(&["--version"]), Ok(Command::Version));
        assert!(parsed(&["sail"]).unwrap_err().starts_with("unknown command \"sail\"; use one of serve, migrate"));
        assert_eq!(
            parsed(&["migrat"]),
            Err("unknown command \"migrat\"; use one of serve, migrate, await-migrations, healthcheck, settings, help"
                .to_owned())
        );
        assert!(parsed(&["serve", "now"]).is_err());
        assert!(parsed(&["--saga.tick=1s", "now"]).is_err());
    }

    #[test]
    fn a_flag_and_its_value_may_be_two_arguments() {
        let args = ["migrate", "--saga.tick", "1s", "--currency=EUR"].map(str::to_owned);
        let invocation = parse(args.into_iter()).unwrap();
        assert_eq!((invocation.command, invocation.flags.len()), (Command::Migrate, 3));
    }
}
