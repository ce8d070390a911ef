//! `fleet config`: shows and changes settings of running services in the bucket that they share.
//!
//! The services read changes from the bucket and report the outcome: only live settings can change, and a service
//! refuses an invalid value and keeps the one it has.

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use flotilla_config::nearest;
use flotilla_service::remote::{ALL, CONFIG};
use flotilla_terminal::{Table, bad, good};
use serde_json::Value;

use crate::{
    SERVICES,
    home::{Home, state::State},
    services::{
        admin::{self, check_service},
        bucket::SettingsBucket,
    },
    variables::settings_of,
};

/// `fleet config`.
#[derive(Debug, Args)]
pub struct Options {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the settings in the bucket; with a service, all of its settings that can change at run time.
    List {
        /// The service.
        service: Option<String>,
    },
    /// Set a live setting of one service, or of all.
    Set {
        /// The service, or "all".
        service: String,
        /// The setting, such as saga.tick.
        setting: String,
        /// The value, in the same format as in a variable.
        value: String,
    },
    /// Remove a setting; the service's other sources apply again.
    Clear {
        /// The service, or "all".
        service: String,
        /// The setting.
        setting: String,
    },
}

/// Runs the command.
///
/// # Errors
/// If no fleet is up, or the change isn't allowed.
pub async fn run(home: &Home, options: Options) -> Result<()> {
    let state = State::of_running(home)?;
    let bucket = SettingsBucket::open(&state).await?;
    match options.command {
        Command::List { service: None } => list(home, &bucket).await,
        Command::List { service: Some(service) } => list_of(&state, &service).await,
        Command::Set { service, setting, value } => set(&state, &bucket, &service, &setting, value).await,
        Command::Clear { service, setting } => clear(&state, &bucket, &service, &setting).await,
    }
}

async fn list(home: &Home, bucket: &SettingsBucket) -> Result<()> {
    let set = bucket.entries(CONFIG).await?;
    if set.is_empty() {
        println!("nothing is set; run `{}` to list what can be", home.command("config list SERVICE"));
        return Ok(());
    }
    let mut table = Table::new(&["service", "setting", "value"]);
    for (key, (value, _)) in set {
        let (service, setting) = key.split_once('.').unwrap_or((&key, ""));
        table.row([service.to_owned(), setting.to_owned(), value]);
    }
    print!("{}", table.render());
    Ok(())
}

async fn list_of(state: &State, service: &str) -> Result<()> {
    let config = config_of(state, service).await?;
    let mut table = Table::new(&["setting", "value", "from"]);
    for setting in settings(&config).filter(|setting| setting["live"] == true) {
        let text = |field: &str| setting[field].as_str().unwrap_or("-").to_owned();
        table.row([text("setting"), text("value"), text("source")]);
    }
    print!("{}", table.render());
    if let Some(why) = config["refused"].as_str() {
        println!("{}", bad(&format!("the last reload was refused: {why}")));
    }
    Ok(())
}

async fn set(state: &State, bucket: &SettingsBucket, service: &str, setting: &str, value: String) -> Result<()> {
    if value.is_empty() {
        bail!("the value is empty: to remove the setting, run `fleet config clear {service} {setting}`");
    }
    let mut concerned = Vec::new();
    for name in services(service)? {
        let config = config_of(state, name).await?;
        match settings(&config).find(|known| known["setting"] == setting) {
            Some(known) => {
                check(name, setting, known)?;
                concerned.push((name, version(&config)));
            }
            None if service != ALL => {
                let refused = unknown_setting(&config, setting);
                bail!("{name}: {refused} (run `fleet config list {name}` to list those that can change)")
            }
            None => {}
        }
    }
    if concerned.len() < services(service)?.len() {
        // A service refuses unknown settings: with such a key it would refuse all of them.
        let names: Vec<_> = concerned.iter().map(|(name, _)| *name).collect();
        if names.is_empty() {
            bail!(unknown_anywhere(setting));
        }
        let have = names.join(", ");
        bail!("not every service has {setting:?}, only {have}: set it for each of them");
    }
    let key = key(service, setting);
    let former = bucket.entries(&key).await?.remove("").map(|(value, _)| value);
    bucket.set(&key, value).await?;
    for (name, before) in concerned {
        if let Err(refused) = report_outcome(state, name, setting, before).await {
            // Left there, it would keep the service from applying any other change.
            match former {
                Some(former) => drop(bucket.set(&key, former).await?),
                None => drop(bucket.clear(&key).await?),
            }
            return Err(refused.context("taken back"));
        }
    }
    Ok(())
}

async fn clear(state: &State, bucket: &SettingsBucket, service: &str, setting: &str) -> Result<()> {
    let mut concerned = Vec::new();
    for name in services(service)? {
        concerned.push((name, version(&config_of(state, name).await?)));
    }
    if bucket.clear(&key(service, setting)).await?.is_none() {
        if !services(service)?.into_iter().any(|name| settings_of(name).find(setting).is_some()) {
            bail!(unknown_anywhere(setting));
        }
        println!("{setting} isn't set for {service}");
        return Ok(());
    }
    for (name, before) in concerned {
        report_outcome(state, name, setting, before).await?;
    }
    Ok(())
}

/// Waits until a service has applied or refused the change, and reports which.
async fn report_outcome(state: &State, service: &str, setting: &str, before: u64) -> Result<()> {
    let outcome = |config: &Value| {
        let holds = settings(config).find(|known| known["setting"] == setting).map(|known| {
            let text = |field: &str| known[field].as_str().unwrap_or("-").to_owned();
            (text("value"), text("source"))
        });
        match config["refused"].as_str() {
            Some(why) => Some(Err(why.to_owned())),
            None => (version(config) > before).then_some(Ok(holds)),
        }
    };
    match admin::until(state, service, "/config", outcome).await {
        Some(Ok(Some((value, source)))) => println!("{service}: {} = {} (from {source})", good(setting), value),
        Some(Ok(None)) => println!("{service} no longer has the setting {setting}"),
        Some(Err(why)) => bail!("{service} refused it and keeps the current value: {why}"),
        None => {
            let config = config_of(state, service).await?;
            let known = settings(&config).find(|known| known["setting"] == setting);
            let text = |field: &str| known.and_then(|known| known[field].as_str()).unwrap_or("-").to_owned();
            println!(
                "{service}: {setting} is still {} (from {}, which may take precedence)",
                text("value"),
                text("source")
            );
        }
    }
    Ok(())
}

/// The error for a setting that a service doesn't have.
fn unknown_setting(config: &Value, setting: &str) -> String {
    let names: Vec<_> = settings(config).filter_map(|known| known["setting"].as_str()).collect();
    let meant = nearest(setting, names).map(|meant| format!("; did you mean {meant}?"));
    format!("unknown setting {setting:?}{}", meant.unwrap_or_default())
}

/// The error for a setting that no service has.
fn unknown_anywhere(setting: &str) -> String {
    let references: Vec<_> = SERVICES.into_iter().map(settings_of).collect();
    let names = references.iter().flat_map(|reference| reference.settings().iter().map(|known| known.name.as_str()));
    let meant = nearest(setting, names).map(|meant| format!("; did you mean {meant}?"));
    format!("unknown setting {setting:?}{}", meant.unwrap_or_default())
}

/// Refuses settings that can't be changed in the bucket.
fn check(service: &str, setting: &str, known: &Value) -> Result<()> {
    if known["live"] != true {
        bail!("{service} reads {setting} only at start-up: set its variable and restart it");
    }
    if known["value"].as_str().is_some_and(|value| value.contains("****")) {
        bail!("{setting} is a secret and can't be set in the bucket");
    }
    Ok(())
}

async fn config_of(state: &State, service: &str) -> Result<Value> {
    check_service(service)?;
    let config = admin::ask(state, service, "/config").await;
    config.with_context(|| format!("{service} doesn't report its settings: run `fleet status` to see whether it is up"))
}

fn settings(config: &Value) -> impl Iterator<Item = &Value> {
    config["settings"].as_array().into_iter().flatten()
}

fn version(config: &Value) -> u64 {
    config["version"].as_u64().unwrap_or_default()
}

fn services(service: &str) -> Result<Vec<&str>> {
    if service == ALL {
        return Ok(SERVICES.to_vec());
    }
    check_service(service)?;
    Ok(vec![service])
}

fn key(service: &str, setting: &str) -> String {
    format!("{CONFIG}{service}.{setting}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_live_settings_that_are_no_secrets_can_be_set() {
        let known = |live, value: &str| json!({ "setting": "a.b", "live": live, "value": value, "source": "default" });
        check("orders", "a.b", &known(true, "1s")).unwrap();
        assert!(check("orders", "a.b", &known(false, "1s")).unwrap_err().to_string().contains("only at start-up"));
        assert!(check("orders", "a.b", &known(true, "****")).unwrap_err().to_string().contains("secret"));
        assert_eq!(services("all").unwrap().len(), SERVICES.len());
        let refused = services("order").unwrap_err().to_string();
        assert_eq!(refused, format!("unknown service \"order\"; use one of {}", SERVICES.join(", ")));
        let config = json!({ "settings": [known(true, "1s")] });
        assert_eq!(unknown_setting(&config, "a.c"), "unknown setting \"a.c\"; did you mean a.b?");
        assert_eq!(unknown_anywhere("sga.tick"), "unknown setting \"sga.tick\"; did you mean saga.tick?");
    }
}
