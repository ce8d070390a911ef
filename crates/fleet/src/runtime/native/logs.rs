//! The last lines of the members' logs, and new lines as they are written, also when a log is rotated.

use std::time::Duration;

use anyhow::{Result, bail};
use flotilla_config::unknown;
use flotilla_terminal::bold;

use super::tail::{Tail, last_lines};
use crate::{SERVERS, SERVICES, home::Home, runtime::LogOptions};

/// How often a followed log is checked.
const PAUSE: Duration = Duration::from_millis(200);

/// Prints the last lines of logs, and follows them if asked to.
///
/// # Errors
/// When a log can't be read.
pub async fn print(home: &Home, options: LogOptions<'_>) -> Result<()> {
    let LogOptions { name, follow, lines } = options;
    let all =
        || -> Vec<String> { SERVICES.into_iter().chain(SERVERS).chain(["supervisor"]).map(str::to_owned).collect() };
    let names: Vec<String> = name.map_or_else(all, |name| vec![name.to_owned()]);
    if let Some(name) = name
        && !home.log(name).exists()
    {
        if all().contains(&name.to_owned()) {
            bail!("{name} has no log yet: run `make up` first");
        }
        bail!(unknown("log", name, all().iter().map(String::as_str)));
    }
    if !names.iter().any(|name| home.log(name).exists()) {
        bail!("there are no logs yet: run `make up` first");
    }
    let mut tails = Vec::new();
    for name in &names {
        let (last, tail) = last_lines(&home.log(name), lines)?;
        tails.push(tail);
        for line in last {
            print_line(name, &line, names.len() > 1);
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
        for (name, tail) in names.iter().zip(&mut tails) {
            for line in Tail::lines(tail)? {
                print_line(name, &line, names.len() > 1);
            }
        }
    }
}

fn print_line(name: &str, line: &str, named: bool) {
    if named { println!("{} {line}", bold(&format!("{name:<12}"))) } else { println!("{line}") }
}
