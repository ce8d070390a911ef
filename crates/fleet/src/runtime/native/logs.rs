//! The last lines of the members' logs, and new lines as they are written, also when a log is rotated.
//!
//! Services that share one process share its log: the lines of one of them are those that name it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use flotilla_config::unknown;
use flotilla_terminal::bold;
use serde_json::Value;

use super::tail::{Tail, last_lines};
use crate::{ONE_PROCESS, SERVERS, SERVICES, home::Home, runtime::LogOptions};

/// How often a followed log is checked.
const PAUSE: Duration = Duration::from_millis(200);

/// A log, or the part of one service in it.
struct Source {
    name: String,
    log: PathBuf,
    service: Option<String>,
}

impl Source {
    fn of(home: &Home, name: &str) -> Self {
        let shared = home.one_process() && SERVICES.contains(&name);
        let log = home.log(if shared { ONE_PROCESS } else { name });
        Self { name: name.to_owned(), log, service: shared.then(|| name.to_owned()) }
    }

    fn keeps(&self, line: &str) -> bool {
        self.service.as_deref().is_none_or(|service| names_service(line, service))
    }
}

/// Whether a line, in any of the formats of one line, names this service.
fn names_service(line: &str, service: &str) -> bool {
    match serde_json::from_str::<Value>(line) {
        Ok(line) => line["service"] == service,
        Err(_) => line.split_whitespace().filter_map(|word| word.strip_prefix("service=")).any(|named| {
            // The format of a text without quotes depends on how it was logged.
            named.trim_matches('"') == service
        }),
    }
}

/// The names of all logs.
fn all(home: &Home) -> Vec<String> {
    let services = if home.one_process() { vec![ONE_PROCESS] } else { SERVICES.to_vec() };
    services.into_iter().chain(SERVERS).chain(["supervisor"]).map(str::to_owned).collect()
}

/// Prints the last lines of logs, and follows them if asked to.
///
/// # Errors
/// When a log can't be read.
pub async fn print(home: &Home, options: LogOptions<'_>) -> Result<()> {
    let LogOptions { name, follow, lines } = options;
    let names = name.map_or_else(|| all(home), |name| vec![name.to_owned()]);
    let sources: Vec<_> = names.iter().map(|name| Source::of(home, name)).collect();
    if let Some(source) = sources.first().filter(|source| name.is_some() && !source.log.exists()) {
        let known = || all(home).into_iter().chain(SERVICES.map(str::to_owned));
        if known().any(|known| known == source.name) {
            bail!("{} has no log yet: run `make up` first", source.name);
        }
        bail!(unknown("log", &source.name, all(home).iter().map(String::as_str)));
    }
    if !sources.iter().any(|source| source.log.exists()) {
        bail!("there are no logs yet: run `make up` first");
    }
    let mut tails = Vec::new();
    for source in &sources {
        let (last, tail) = last_lines(&source.log, lines, |line| source.keeps(line))?;
        tails.push(tail);
        for line in last {
            print_line(&source.name, &line, sources.len() > 1);
        }
    }
    if !follow {
        return Ok(());
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
        for (source, tail) in sources.iter().zip(&mut tails) {
            for line in Tail::lines(tail)?.into_iter().filter(|line| source.keeps(line)) {
                print_line(&source.name, &line, sources.len() > 1);
            }
        }
    }
}

fn print_line(name: &str, line: &str, named: bool) {
    if named { println!("{} {line}", bold(&format!("{name:<12}"))) } else { println!("{line}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_service_in_every_format_of_one_line() {
        for line in [
            r#"{"level":"INFO","message":"order placed","service":"orders","trace_id":"0a"}"#,
            "INFO flotilla_orders: order placed service=orders trace_id=0a",
            "INFO flotilla_service: ready service=\"orders\" grpc=127.0.0.1:1",
        ] {
            assert!(names_service(line, "orders") && !names_service(line, "payments"), "{line}");
        }
        for line in [r#"{"message":"service=orders"}"#, "INFO no service", "INFO x service=orders2"] {
            assert!(!names_service(line, "orders"), "{line}");
        }
    }
}
