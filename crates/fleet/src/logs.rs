//! `fleet logs`: the ends of the members' logs, and what is added to them.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{SERVERS, SERVICES, home::Home, screen::bold};

/// Prints the ends of logs, and follows them where asked.
///
/// # Errors
/// When a log can't be read.
pub async fn run(home: &Home, name: Option<&str>, follow: bool, lines: usize) -> Result<()> {
    let all =
        || -> Vec<String> { SERVICES.into_iter().chain(SERVERS).chain(["supervisor"]).map(str::to_owned).collect() };
    let names: Vec<String> = name.map_or_else(all, |name| vec![name.to_owned()]);
    if let Some(name) = name
        && !home.log(name).exists()
    {
        if all().contains(&name.to_owned()) {
            bail!("{name} has no log yet: run `make up` first");
        }
        bail!("there is no log of {name:?}: choose one of {}", all().join(", "));
    }
    if !names.iter().any(|name| home.log(name).exists()) {
        bail!("there are no logs yet: run `make up` first");
    }
    let mut ends = Vec::new();
    for name in &names {
        let text = fs::read(home.log(name)).unwrap_or_default();
        ends.push(u64::try_from(text.len())?);
        let text = String::from_utf8_lossy(&text);
        let tail: Vec<_> = text.lines().rev().take(lines).collect();
        for line in tail.iter().rev() {
            print_line(name, line, names.len() > 1);
        }
    }
    if !follow {
        return Ok(());
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
        for (name, end) in names.iter().zip(&mut ends) {
            for line in new_lines(home, name, end)? {
                print_line(name, &line, names.len() > 1);
            }
        }
    }
}

/// Whole lines that were added since `end`, which moves on.
fn new_lines(home: &Home, name: &str, end: &mut u64) -> Result<Vec<String>> {
    let Ok(mut file) = fs::File::open(home.log(name)) else { return Ok(Vec::new()) };
    if file.metadata()?.len() < *end {
        *end = 0;
    }
    file.seek(SeekFrom::Start(*end))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    *end += u64::try_from(whole)?;
    Ok(String::from_utf8_lossy(&text[..whole]).lines().map(str::to_owned).collect())
}

fn print_line(name: &str, line: &str, named: bool) {
    if named { println!("{} {line}", bold(&format!("{name:<12}"))) } else { println!("{line}") }
}
