//! The command line of `fleet`, and its dispatch to the commands.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use flotilla_config::unknown;
use flotilla_terminal::bad;
use flotilla_workload::{
    chaos, demo,
    load::{self, otlp_receiver},
    replay,
};

use crate::{
    command::{
        backup, certs, check, confirmation::Confirmation, db, fault, fetch, flag, logging, reset, restart, restore,
        settings, timeline, token, workload,
    },
    home::{self, Home},
    runtime::{self, LogOptions, UpOptions, kubernetes},
    supervisor, variables,
};

/// Run, inspect, load-test and verify a Flotilla fleet on this machine.
#[derive(Debug, Parser)]
#[command(name = "fleet", version, propagate_version = true)]
pub struct Cli {
    /// Folder with the fleet's data, logs and state.
    #[arg(long, global = true, default_value = home::DEFAULT, env = "FLOTILLA_HOME")]
    pub home: PathBuf,
    /// Folder of another fleet whose downloaded servers are used; data stay separate.
    #[arg(long, global = true, env = "FLOTILLA_SERVERS")]
    pub servers: Option<PathBuf>,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `fleet`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install the servers, start everything and wait until it is ready. Does nothing if the fleet is already up.
    Up {
        /// Where to run: native or compose. For Kubernetes use `make up RUNTIME=k8s`.
        #[arg(long, default_value = "native", env = "RUNTIME")]
        runtime: String,
        /// Use mutual TLS between all services and TLS at the gateway. Remembered until the next `up`.
        #[arg(long, env = "FLOTILLA_TLS", value_parser = switch)]
        tls: bool,
        /// Allow `fleet fault` to switch on faults in the services. Remembered until the next `up`.
        #[arg(long, env = "FLOTILLA_FAULTS", value_parser = switch)]
        faults: bool,
        /// Also start Prometheus, Alertmanager, the Collector, Zipkin and Jaeger, if they are installed. Remembered
        /// until the next `up`.
        #[arg(long, env = "FLOTILLA_OBSERVABILITY", value_parser = switch)]
        observability: bool,
        /// Run all six services in one process. Remembered until the next `up`.
        #[arg(long, env = "FLOTILLA_ONE_PROCESS", value_parser = switch)]
        one_process: bool,
    },
    /// Stop everything that `up` started, and nothing else.
    Down,
    /// Restart the whole fleet, or one service or server.
    Restart(restart::Options),
    /// Show services and servers with addresses, process ids and memory.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the logs of everything, or of one service or server.
    Logs {
        /// Service, server or "supervisor" (default: all).
        name: Option<String>,
        /// Follow the logs until Ctrl-C.
        #[arg(long, short)]
        follow: bool,
        /// Number of lines to show from each log.
        #[arg(long, short = 'n', default_value_t = 40)]
        lines: usize,
    },
    /// Show or change log levels of running services: for everything, one module, or one user's calls.
    Logging(logging::Options),
    /// Stop one service or server and leave it stopped.
    Stop {
        /// Service or server.
        name: String,
    },
    /// Start one service or server that was stopped.
    Start {
        /// Service or server.
        name: String,
    },
    /// Delete all data of a stopped fleet, except downloaded servers. Lists what will be lost and asks for
    /// confirmation.
    Reset(Confirmation),
    /// Take a base backup of the databases and archive their WAL from then on; list backups, name restore points, stop.
    Backup(backup::Options),
    /// Restore the databases of a stopped fleet to a point in time, from a backup.
    Restore(restore::Options),
    /// Download the servers' binaries without starting anything.
    Fetch,
    /// Create the development certificate authority and the certificates of services and tools, and show when they
    /// expire. Issues those that are missing or expire soon; running services reload changed files automatically.
    Certs(certs::Options),
    /// Create the missing secrets of a fleet in Kubernetes. Runs in a pod and doesn't touch a local fleet.
    ClusterSecrets(kubernetes::secrets::Options),
    /// Print an access token, for tools: for the operator, or for the user in --as.
    Token(token::Options),
    /// Simulate a shop's day (catalogue, customers, orders), then report outcomes and latencies and check the
    /// invariants.
    Demo(demo::Options),
    /// Place the orders from CSV files and compare the outcome with them.
    Replay(replay::Options),
    /// Verify the invariants from the databases and streams.
    Check(check::Options),
    /// Kill services, nats-server and Redis at random during a demo, then check the invariants.
    Chaos(chaos::Options),
    /// Place orders at a fixed rate and measure; `--baseline` compares with bare PostgreSQL.
    Load(load::Options),
    /// Switch on faults for practice. Each has an alert, a dashboard and a runbook.
    Fault(fault::Options),
    /// Show the path of one order through the services.
    Timeline {
        /// The order: `orders/<uuid>` or the UUID.
        order: String,
    },
    /// Show what PostgreSQL reports about the databases: slow statements, indexes, bloat, long transactions, outboxes.
    Db(db::Options),
    /// Show and set feature flags, for all users or a percentage of them.
    Flag(flag::Options),
    /// Show and change settings of running services.
    Config(settings::Options),
    /// Receive spans and logs over OTLP and discard them, to measure what sending them costs.
    #[command(hide = true)]
    OtlpReceiver(otlp_receiver::Options),
    /// Supervise servers and services; started by `up`.
    #[command(hide = true)]
    Supervise,
}

/// Parses the variable of a switch: an empty value, `0`, `false`, `no` and `off` mean off.
fn switch(word: &str) -> Result<bool, String> {
    const OFF: [&str; 5] = ["0", "false", "no", "off", "n"];
    const ON: [&str; 5] = ["1", "true", "yes", "on", "y"];
    let word = word.trim().to_lowercase();
    if word.is_empty() || OFF.contains(&&*word) {
        return Ok(false);
    }
    if ON.contains(&&*word) {
        Ok(true)
    } else {
        Err(unknown("value", &word, ["true", "false", "yes", "no", "on", "off"]))
    }
}

/// Runs the command; errors are printed to standard error with the fix.
pub async fn run(cli: Cli) -> ExitCode {
    match dispatch(cli).await {
        Ok(code) => code,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints an error and its causes to standard error.
fn print_error(error: &anyhow::Error) {
    // It may repeat what was typed, and terminal output may be recorded.
    eprintln!("{} {}", bad("error:"), flotilla_redact::scrub(&format!("{error:#}")));
}

async fn dispatch(cli: Cli) -> Result<ExitCode> {
    if let Command::ClusterSecrets(options) = &cli.command {
        kubernetes::secrets::run(options).await?;
        return Ok(ExitCode::SUCCESS);
    }
    variables::check(std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()))?;
    refuse_missing(&cli.home, &cli.command)?;
    let home = Home::open(&cli.home, cli.servers.as_deref())?;
    // Commands suggested by an error message must name this home.
    act(&home, cli.command).await.map_err(|error| {
        let text = format!("{error:#}");
        let named = home.naming(&text);
        if named == text { error } else { anyhow::Error::msg(named) }
    })
}

/// Otherwise a misspelt home would be created, without a fleet in it.
fn refuse_missing(home: &Path, command: &Command) -> Result<()> {
    let begins = matches!(
        command,
        Command::Up { .. }
            | Command::Fetch
            | Command::Certs(_)
            | Command::Restore(_)
            | Command::OtlpReceiver(_)
            | Command::Supervise
    );
    if !begins && home != Path::new(home::DEFAULT) && !home.exists() {
        bail!("{} doesn't exist: no fleet has been started there", home.display());
    }
    Ok(())
}

async fn act(home: &Home, command: Command) -> Result<ExitCode> {
    match command {
        Command::Up { runtime, tls, faults, observability, one_process } => {
            let options = UpOptions { tls, faults, observability, one_process };
            runtime::named(&runtime)?.up(home, options).await?;
        }
        Command::Down => runtime::of(home).down(home).await?,
        Command::Restart(options) => restart::run(home, &options).await?,
        Command::Status { json } => {
            let whole = runtime::of(home).status(home, json).await?;
            return Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Logs { name, follow, lines } => {
            let options = LogOptions { name: name.as_deref(), follow, lines };
            runtime::of(home).logs(home, options).await?;
        }
        Command::Logging(options) => logging::run(home, &options).await?,
        Command::Stop { name } => runtime::of(home).stop(home, &name).await?,
        Command::Start { name } => runtime::of(home).start(home, &name).await?,
        Command::Reset(confirmation) => reset::run(home, confirmation).await?,
        Command::Backup(options) => backup::run(home, options).await?,
        Command::Restore(options) => restore::run(home, options).await?,
        Command::Fetch => fetch::run(home).await?,
        Command::Certs(options) => certs::run(home, options).await?,
        Command::Token(options) => token::run(home, &options).await?,
        Command::Demo(options) => return workload::demo(home, options).await,
        Command::Replay(options) => return workload::replay(home, options).await,
        Command::Check(options) => return check::run(home, options).await,
        Command::Chaos(options) => return workload::chaos(home, options).await,
        Command::Load(options) => return workload::load(home, options).await,
        Command::Fault(options) => fault::run(home, options).await?,
        Command::Timeline { order } => timeline::run(home, &order).await?,
        Command::Db(options) => return db::run(home, options).await,
        Command::Flag(options) => flag::run(home, options).await?,
        Command::Config(options) => settings::run(home, options).await?,
        // Handled above: a pod has no fleet folder.
        Command::ClusterSecrets(_) => {}
        Command::OtlpReceiver(options) => otlp_receiver::run(&options).await?,
        Command::Supervise => {
            supervisor::start_log(home)?;
            supervisor::run(home.clone()).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_all_commands_are_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    fn refusal(arguments: &[&str]) -> String {
        let arguments = ["fleet"].iter().chain(arguments);
        Cli::try_parse_from(arguments).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_switch_is_on_or_off_and_nothing_in_between() {
        assert_eq!(["1", "TRUE", "on"].map(switch), [Ok(true), Ok(true), Ok(true)]);
        assert_eq!(["", "0", "No"].map(switch), [Ok(false), Ok(false), Ok(false)]);
        assert_eq!(switch("flase").unwrap_err(), "unknown value \"flase\"; use one of true, false, yes, no, on, off");
        assert!(switch("maybe").is_err());
    }

    #[test]
    fn a_home_with_a_typo_is_not_made() {
        let room = tempfile::tempdir().unwrap();
        let home = room.path().join("xu");
        let parsed = |command: &str| Cli::try_parse_from(["fleet", command]).unwrap().command;
        for command in ["down", "status", "reset", "logs"] {
            let refused = refuse_missing(&home, &parsed(command)).unwrap_err().to_string();
            assert!(refused.contains("xu doesn't exist: no fleet has been started there"), "{refused}");
        }
        refuse_missing(&home, &parsed("up")).unwrap();
        refuse_missing(Path::new(home::DEFAULT), &parsed("status")).unwrap();
        refuse_missing(room.path(), &parsed("status")).unwrap();
    }

    #[test]
    fn a_word_with_a_typo_is_refused_with_what_was_meant() {
        let cases: [(&[&str], &str); 4] = [
            (&["fault", "on", "slow-databse"], "unknown fault \"slow-databse\"; use one of slow-database"),
            (&["fault", "off", "broker-stal"], "unknown fault \"broker-stal\"; use one of"),
            (&["statsu"], "status"),
            (&["status", "--jsno"], "--json"),
        ];
        for (arguments, expected) in cases {
            assert!(refusal(arguments).contains(expected), "{}", refusal(arguments));
        }
    }
}
