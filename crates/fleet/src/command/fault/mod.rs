//! `fleet fault`: switches faults on in services of the running fleet, to test alerts, panels and runbooks.
//!
//! Owns the description of each fault: the service that shows it best, the alert that must fire, the panel and trace
//! that show it, and the runbook. Each ends automatically; services allow faults only if the fleet was started with
//! `--faults`.

mod answers;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use flotilla_checker::Databases;
use flotilla_config::unknown;
use flotilla_fault::Fault;
use flotilla_messaging::POISON_SOURCE;
use flotilla_terminal::{Table, bad, bold};
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub use self::answers::{ANSWERS, Answer, answer};
use crate::{
    DATABASES, SERVICES,
    home::{Home, state::State},
    services::{admin::check_service, probe},
};

/// `fleet fault`.
#[derive(Debug, Args)]
pub struct Options {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all faults: where each is on, its alert, its dashboard and its runbook.
    List,
    /// Switch a fault on; it ends automatically.
    On(OnOptions),
    /// Switch a fault off, or all of them.
    Off {
        /// The fault (default: all).
        #[arg(value_parser = named)]
        fault: Option<Fault>,
        /// The service (default: all).
        #[arg(long)]
        service: Option<String>,
    },
    /// Remove the damaged copies that poison-messages has left among the parked messages; the real events were applied.
    Heal,
}

/// Options of `fleet fault on`.
#[derive(Debug, Args)]
pub struct OnOptions {
    /// The fault.
    #[arg(value_parser = named)]
    pub fault: Fault,
    /// The service (default: the one that shows the fault best).
    #[arg(long)]
    pub service: Option<String>,
    /// How long it lasts (default: 60s, at most 1h).
    #[arg(long, value_name = "TIME")]
    pub r#for: Option<String>,
    /// How long each transaction waits, for slow-database (default: 1s, at most 4s).
    #[arg(long, value_name = "TIME")]
    pub delay: Option<String>,
    /// Percentage of transactions, charges, events or connections that are affected.
    #[arg(long, value_name = "PERCENT")]
    pub share: Option<u8>,
}

/// The fault of this name.
fn named(name: &str) -> Result<Fault, String> {
    name.parse().map_err(|_| unknown("fault", name, Fault::ALL.map(Fault::name)))
}

/// A fault as a service reports it.
#[derive(Debug, Deserialize)]
struct FaultState {
    name: String,
    on: bool,
    #[serde(default)]
    left: String,
}

/// Runs the command.
///
/// # Errors
/// When no fleet is up, or it doesn't allow faults.
pub async fn run(home: &Home, options: Options) -> Result<()> {
    let state = State::of_running(home)?;
    match options.command {
        Command::List => list(home, &state).await,
        Command::On(options) => turn_on(home, &state, &options).await,
        Command::Off { fault, service } => {
            service.as_deref().map_or(Ok(()), check_service)?;
            turn_off(&state, fault, service.as_deref()).await
        }
        Command::Heal => {
            println!("{} damaged copies removed", remove_damaged_copies(&state).await?);
            Ok(())
        }
    }
}

async fn list(home: &Home, state: &State) -> Result<()> {
    let mut table = Table::new(&["fault", "tried in", "on", "alert", "shown by", "runbook"]);
    let (mut on, mut closed) = (Vec::new(), 0);
    for service in SERVICES {
        match fault_states(state, service).await? {
            Some(faults) => on.extend(faults.into_iter().filter(|it| it.on).map(|it| (it.name, service, it.left))),
            None => closed += 1,
        }
    }
    for answer in &ANSWERS {
        let Answer { fault, service, alert, runbook, .. } = answer;
        let here = on.iter().filter(|(name, ..)| name == fault.name());
        let here: Vec<_> = here.map(|(_, service, left)| format!("{service} for {left}")).collect();
        let here = if here.is_empty() { "off".to_owned() } else { here.join(", ") };
        table.row([fault.name(), service, &here, alert, &answer.shown_by(), runbook].map(str::to_owned));
    }
    print!("{}", table.render());
    if closed == SERVICES.len() {
        println!("{} {}", bad("no service allows faults;"), home.naming(NOT_ALLOWED));
    }
    Ok(())
}

const NOT_ALLOWED: &str = "to allow them, run `fleet down`, then `fleet up --faults` (or FLOTILLA_FAULTS=1 make up)";

async fn turn_on(home: &Home, state: &State, options: &OnOptions) -> Result<()> {
    let answer = answer(options.fault);
    let service = options.service.as_deref().unwrap_or(answer.service);
    let mut body = Map::new();
    for (name, given) in [("for", &options.r#for), ("delay", &options.delay)] {
        if let Some(given) = given {
            body.insert(name.to_owned(), json!(given));
        }
    }
    if let Some(share) = options.share {
        body.insert("share".to_owned(), json!(share));
    }
    let body = Value::Object(body).to_string();
    let (status, answered) = ask(state, service, "PUT", &format!("/faults/{}", options.fault), &body).await?;
    if status != 200 {
        // A service that allows faults returns the reason; one that doesn't has no such route.
        match serde_json::from_str::<Value>(&answered)
            .ok()
            .and_then(|answer| Some(answer["error"].as_str()?.to_owned()))
        {
            Some(why) => bail!("{service}: {why}"),
            None => bail!("{service} doesn't allow faults; {NOT_ALLOWED}"),
        }
    }
    let state: FaultState = serde_json::from_str(&answered)
        .with_context(|| format!("can't parse the response of {service}: {answered:?}"))?;
    println!("{} is on in {service} for {}", bold(options.fault.name()), state.left);
    println!("  alert    {} fires within minutes, about {}", answer.alert, answer.alerted);
    println!("  shown by {}", answer.shown_by());
    println!("  runbook  {}", answer.runbook);
    if options.fault == Fault::PoisonMessages {
        println!("  then run `{}` to remove the damaged copies", home.command("fault heal"));
    }
    Ok(())
}

async fn turn_off(state: &State, fault: Option<Fault>, service: Option<&str>) -> Result<()> {
    let mut ended = 0;
    for name in SERVICES.into_iter().filter(|name| service.is_none_or(|wanted| wanted == *name)) {
        let on = fault_states(state, name).await?.unwrap_or_default();
        for state_of in on.into_iter().filter(|it| it.on && fault.is_none_or(|fault| it.name == fault.name())) {
            let (status, body) = ask(state, name, "DELETE", &format!("/faults/{}", state_of.name), "").await?;
            if status != 200 {
                bail!("{name} can't switch {} off: {body}", state_of.name);
            }
            println!("{} is off in {name}", state_of.name);
            ended += 1;
        }
    }
    if ended == 0 {
        println!("no fault was on");
    }
    Ok(())
}

/// The faults of a service; `None` if it doesn't allow any.
async fn fault_states(state: &State, service: &str) -> Result<Option<Vec<FaultState>>> {
    let (status, body) = ask(state, service, "GET", "/faults", "").await?;
    match status {
        200 => Ok(Some(
            serde_json::from_str(&body).with_context(|| format!("can't parse the response of {service}: {body:?}"))?,
        )),
        404 => Ok(None),
        _ => bail!("{service} returned {status}: {body}"),
    }
}

async fn ask(state: &State, service: &str, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
    let answer = probe::send(state.admin(service)?, method, path, body).await;
    answer.with_context(|| format!("{service} doesn't respond"))
}

/// Removes the damaged copies of poison-messages from the parked messages and returns their number.
///
/// # Errors
/// When a database can't be written.
pub async fn remove_damaged_copies(state: &State) -> Result<u64> {
    let databases = Databases::open(&state.stores()?).await?;
    let mut removed = 0;
    for service in DATABASES {
        // The source is part of the event itself; a customer's text could contain it too, but not in an event that
        // can't be decoded.
        let sql = format!(
            "WITH removed AS (DELETE FROM parked WHERE position('{POISON_SOURCE}'::bytea IN event) > 0 RETURNING 1)
             SELECT count(*) FROM removed"
        );
        removed += u64::try_from(databases.number(service, &sql).await?)?;
    }
    Ok(removed)
}
