//! `fleet logging`: shows and changes what the services log while they run.

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use flotilla_terminal::{Table, bad};
use serde_json::{Map, Value, json};

use crate::{
    SERVICES,
    home::{Home, state::State},
    services::{admin::check_service, probe},
};

/// `fleet logging`.
#[derive(Debug, Args)]
pub struct Options {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// The service (default: all).
    #[arg(long, short, global = true)]
    pub service: Option<String>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the filter and the rules of each service.
    Show,
    /// Change the level for a limited time; it reverts automatically.
    Set(SetOptions),
    /// Remove all rules.
    Reset,
}

/// A rule.
#[derive(Debug, Args)]
pub struct SetOptions {
    /// A level; without --module and --user also a whole filter, such as `info,flotilla_orders=debug`.
    pub level: String,
    /// Only for this module and those below it, such as flotilla_orders::saga.
    #[arg(long, short, conflicts_with = "user")]
    pub module: Option<String>,
    /// Only for this user's calls: `users/<id>`.
    #[arg(long, short)]
    pub user: Option<String>,
    /// How long it lasts, at most a day.
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub r#for: String,
}

impl SetOptions {
    fn body(&self) -> String {
        let mut body = Map::from_iter([("level".to_owned(), json!(self.level)), ("for".to_owned(), json!(self.r#for))]);
        for (name, given) in [("module", &self.module), ("user", &self.user)] {
            if let Some(given) = given {
                body.insert(name.to_owned(), json!(given));
            }
        }
        Value::Object(body).to_string()
    }
}

/// Runs the command.
///
/// # Errors
/// When no fleet is up, or a service refuses.
pub async fn run(home: &Home, options: &Options) -> Result<()> {
    let state = State::of_running(home)?;
    let shared = state.members.iter().any(|member| member.process.is_some());
    let services: Vec<&str> = match &options.service {
        Some(service) => {
            check_service(service)?;
            if shared && !matches!(options.command, Command::Show) {
                bail!(
                    "all services run in one process, which has one log filter: leave --service out, or name a module, \
                     such as --module flotilla_{service}"
                );
            }
            vec![service]
        }
        // Each shows the same filter.
        None if shared => SERVICES[..1].to_vec(),
        None => SERVICES.to_vec(),
    };
    let (method, body) = match &options.command {
        Command::Show => ("GET", String::new()),
        Command::Set(options) => ("PUT", options.body()),
        Command::Reset => ("DELETE", String::new()),
    };
    let mut table = Table::new(&["service", "filter", "from", "rule", "level", "ends in"]);
    let mut silent = Vec::new();
    for service in services {
        match ask(&state, service, method, &body).await? {
            Some(logging) => {
                rows(if shared { "all" } else { service }, &logging).into_iter().for_each(|row| table.row(row));
            }
            None => silent.push(service),
        }
    }
    print!("{}", table.render());
    if !silent.is_empty() {
        println!("{}", bad(&format!("no response: {}", silent.join(", "))));
    }
    Ok(())
}

/// The filter and rules of a service; `None` if it doesn't respond.
async fn ask(state: &State, service: &str, method: &str, body: &str) -> Result<Option<Value>> {
    let Ok((status, answer)) = probe::send(state.admin(service)?, method, "/logging", body).await else {
        return Ok(None);
    };
    let answer: Value = serde_json::from_str(&answer).with_context(|| format!("{service} didn't return JSON"))?;
    if status != 200 {
        bail!("{service}: {}", answer["error"].as_str().unwrap_or("refused"));
    }
    Ok(Some(answer))
}

fn rows(service: &str, logging: &Value) -> Vec<[String; 6]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows = vec![[
        service.to_owned(),
        text(&logging["filter"]),
        text(&logging["origin"]),
        String::new(),
        String::new(),
        String::new(),
    ]];
    for rule in logging["rules"].as_array().into_iter().flatten() {
        let scope = ["module", "user"].into_iter().find_map(|kind| Some(format!("{kind} {}", rule[kind].as_str()?)));
        rows.push([
            String::new(),
            String::new(),
            String::new(),
            scope.unwrap_or_else(|| "all".to_owned()),
            text(&rule["filter"]),
            format!("{} s", rule["ends_in_s"]),
        ]);
    }
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::*;

    #[test]
    fn the_filter_and_rules_of_a_service_are_shown() {
        let logging = json!({"filter": "info", "origin": "telemetry.filter", "rules": [
            {"user": "u-1", "filter": "debug", "ends_in_s": 60},
            {"all": null, "filter": "warn", "ends_in_s": 5},
        ]});
        let rows = rows("orders", &logging);
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0][..3], ["orders", "info", "telemetry.filter"]);
        assert_eq!(rows[1][3..], ["user u-1", "debug", "60 s"]);
        assert_eq!(rows[2][3..], ["all", "warn", "5 s"]);
    }
}
