//! The command line of a service: `serve`, `migrate`, `healthcheck`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use flotilla_telemetry::Telemetry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::signals::Signals;
use crate::{Running, Service};

/// How long a health check may take.
const HEALTHCHECK: Duration = Duration::from_secs(3);
/// Wrong usage.
const USAGE: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Serve,
    Migrate,
    Healthcheck,
    Help,
    Version,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let command = match args.next().as_deref() {
        None | Some("serve") => Command::Serve,
        Some("migrate") => Command::Migrate,
        Some("healthcheck") => Command::Healthcheck,
        Some("help" | "--help" | "-h") => Command::Help,
        Some("--version" | "-V") => Command::Version,
        Some(other) => return Err(format!("unknown command {other:?}")),
    };
    match args.next().as_deref() {
        None => Ok(command),
        Some("--help" | "-h") => Ok(Command::Help),
        Some(other) => Err(format!("unexpected argument {other:?}")),
    }
}

fn help(name: &str) -> String {
    format!(
        "The {name} service of Flotilla.\n\n\
         Usage: {name} [serve | migrate | healthcheck] [--help | --version]\n\n\
         \x20 serve        serves until SIGTERM or SIGINT, then drains (the default)\n\
         \x20 migrate      brings the database up to date\n\
         \x20 healthcheck  asks the running service whether it is ready\n\n\
         Settings: defaults, then the TOML file that FLOTILLA_CONFIG_FILE names,\n\
         then variables such as FLOTILLA__SERVICE__GRACE=10s."
    )
}

/// The `main` of a service: does what `args` (without the program's name) say and returns the exit code.
pub async fn run<S: Service>(args: impl Iterator<Item = String>) -> ExitCode {
    let command = match parse(args) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("{error}\n\n{}", help(S::NAME));
            return ExitCode::from(USAGE);
        }
    };
    let done = match command {
        Command::Help => {
            println!("{}", help(S::NAME));
            Ok(())
        }
        Command::Version => {
            println!("{} {}", S::NAME, env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Command::Healthcheck => healthcheck::<S>().await,
        Command::Serve | Command::Migrate => with_telemetry::<S>(command).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", S::NAME);
            ExitCode::FAILURE
        }
    }
}

async fn with_telemetry<S: Service>(command: Command) -> anyhow::Result<()> {
    // Fails only if one is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings: S::Settings = flotilla_config::load()?;
    let telemetry = flotilla_telemetry::init(S::NAME, S::common(&settings).telemetry)?;
    let done = match command {
        Command::Migrate => S::migrate(&settings).await.context("migration failed"),
        _ => serve::<S>(settings, &telemetry).await,
    };
    if let Err(error) = &done {
        tracing::error!(service = S::NAME, error = format!("{error:#}"), "service failed");
    }
    telemetry.shutdown().await;
    done
}

async fn serve<S: Service>(settings: S::Settings, telemetry: &Telemetry) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("signals can't be listened to")?;
    let running = tokio::select! {
        running = S::build(settings, telemetry) => running.context("start-up failed")?,
        signal = signals.next() => {
            tracing::info!(signal, "stopped while starting");
            return Ok(());
        }
    };
    until_signal(running, &mut signals).await
}

async fn until_signal(running: Running, signals: &mut Signals) -> anyhow::Result<()> {
    let stop = running.stopper();
    let ended = running.wait();
    tokio::pin!(ended);
    tokio::select! {
        ended = &mut ended => return ended,
        signal = signals.next() => tracing::info!(signal, "asked to stop"),
    }
    stop.cancel();
    tokio::select! {
        ended = &mut ended => ended,
        signal = signals.next() => bail!("{signal} again: stopped at once"),
    }
}

async fn healthcheck<S: Service>() -> anyhow::Result<()> {
    let settings: S::Settings = flotilla_config::load()?;
    let address = reachable(S::common(&settings).service.admin_listen);
    tokio::time::timeout(HEALTHCHECK, ask(address)).await.context("no answer in time")?
}

/// A wildcard address can be listened on but not connected to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

async fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("{address} can't be reached"))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if answer.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    bail!("not ready: {body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(args.iter().map(ToString::to_string))
    }

    #[test]
    fn commands_are_understood() {
        assert_eq!(parsed(&[]), Ok(Command::Serve));
        assert_eq!(parsed(&["serve"]), Ok(Command::Serve));
        assert_eq!(parsed(&["migrate"]), Ok(Command::Migrate));
        assert_eq!(parsed(&["healthcheck"]), Ok(Command::Healthcheck));
        assert_eq!(parsed(&["--help"]), Ok(Command::Help));
        assert_eq!(parsed(&["serve", "--help"]), Ok(Command::Help));
        assert_eq!(parsed(&["--version"]), Ok(Command::Version));
        assert!(parsed(&["sail"]).is_err());
        assert!(parsed(&["serve", "now"]).is_err());
    }

    #[test]
    fn a_wildcard_address_is_asked_on_this_machine() {
        assert_eq!(reachable("0.0.0.0:1".parse().unwrap()), "127.0.0.1:1".parse().unwrap());
        assert_eq!(reachable("[::]:1".parse().unwrap()), "[::1]:1".parse().unwrap());
        assert_eq!(reachable("10.0.0.1:1".parse().unwrap()), "10.0.0.1:1".parse().unwrap());
    }
}
