//! `fleet flag`: shows and sets the feature flags of the running fleet.
//!
//! Owns the list of flags that the services use. Definitions are validated here, with the services' own code, before
//! they are written; then the services are polled until they have applied them.

use std::fs;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use flotilla_config::{nearest, unknown};
use flotilla_flags::Flag;
use flotilla_service::remote::FLAGS;
use flotilla_terminal::{Table, bad, good};
use serde_json::{Value, json};

use crate::{
    home::{Home, state::State},
    services::{
        admin::{self, ADOPTION},
        bucket::SettingsBucket,
    },
};

/// `fleet flag`.
#[derive(Debug, Args)]
pub struct Options {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the flags that services use, and their values.
    List,
    /// Set a flag, for all users or a percentage of them.
    Set(SetOptions),
    /// Remove a flag's value; the services' own configuration or default applies again.
    Clear {
        /// The flag.
        flag: String,
    },
}

/// Options of `fleet flag set`.
#[derive(Debug, Args)]
pub struct SetOptions {
    /// The flag.
    pub flag: String,
    /// on, off, a percentage of users such as 25% or 0.5%, or @FILE with a definition in flagd's JSON format.
    pub value: String,
    /// Always on for this user (`users/<id>` or the id); can be repeated.
    #[arg(long = "user", value_name = "USER")]
    pub users: Vec<String>,
    /// Set it even if no service uses a flag with this name.
    #[arg(long)]
    pub any: bool,
}

/// A flag that a service uses.
struct Known {
    name: &'static str,
    service: &'static str,
    /// The value without a definition.
    default: &'static str,
    meaning: &'static str,
}

const KNOWN: [Known; 2] = [
    Known {
        name: "accept-orders",
        service: "orders",
        default: "on",
        meaning: "new orders are accepted; off: only accepted ones continue",
    },
    Known {
        name: "single-notice",
        service: "notification",
        default: "off",
        meaning: "a customer gets one notice for an order, at its end",
    },
];

/// Runs the command.
///
/// # Errors
/// If no fleet is up, or the definition is invalid.
pub async fn run(home: &Home, options: Options) -> Result<()> {
    let state = State::of_running(home)?;
    let bucket = SettingsBucket::open(&state).await?;
    match options.command {
        Command::List => list(&bucket).await,
        Command::Set(options) => set(&state, &bucket, &options).await,
        Command::Clear { flag } => clear(&state, &bucket, &flag).await,
    }
}

async fn list(bucket: &SettingsBucket) -> Result<()> {
    let set = bucket.entries(FLAGS).await?;
    let mut table = Table::new(&["flag", "set to", "default", "asked by", "meaning"]);
    for known in &KNOWN {
        let value = set.get(known.name).map_or_else(|| "-".to_owned(), |(text, _)| summary(text));
        table.row([known.name, &value, known.default, known.service, known.meaning].map(str::to_owned));
    }
    for (name, (text, _)) in set.iter().filter(|(name, _)| !KNOWN.iter().any(|known| known.name == name.as_str())) {
        table.row([name.clone(), summary(text), "-".to_owned(), "nobody".to_owned(), String::new()]);
    }
    print!("{}", table.render());
    Ok(())
}

async fn set(state: &State, bucket: &SettingsBucket, options: &SetOptions) -> Result<()> {
    let known = find(&options.flag, options.any)?;
    let definition = definition(options)?;
    Flag::parse(&options.flag, &definition).with_context(|| format!("invalid definition of {}", options.flag))?;
    let revision = bucket.set(&format!("{FLAGS}{}", options.flag), definition.clone()).await?;
    println!("{} is {}", options.flag, summary(&definition));
    report_adoption(state, known, &options.flag, revision).await
}

async fn clear(state: &State, bucket: &SettingsBucket, flag: &str) -> Result<()> {
    let Some(revision) = bucket.clear(&format!("{FLAGS}{flag}")).await? else {
        if !KNOWN.iter().any(|known| known.name == flag) {
            bail!(unknown("flag", flag, KNOWN.iter().map(|known| known.name)));
        }
        println!("{flag} isn't set");
        return Ok(());
    };
    let known = KNOWN.iter().find(|known| known.name == flag);
    println!("{flag} is cleared{}", known.map(|known| format!("; default: {}", known.default)).unwrap_or_default());
    report_adoption(state, known, flag, revision).await
}

/// Waits until the service that uses the flag has applied the change, and reports it.
async fn report_adoption(state: &State, known: Option<&Known>, flag: &str, revision: u64) -> Result<()> {
    let Some(known) = known else { return Ok(()) };
    let adopted = |flags: &Value| {
        let source = flags["sources"].as_array()?.iter().find(|source| source["name"] == "nats")?;
        let refused = source["refused"][flag].as_str().map(str::to_owned);
        (source["version"].as_u64()? >= revision).then_some(refused)
    };
    match admin::until(state, known.service, "/flags", adopted).await {
        Some(None) => println!("{}", good(&format!("applied by {}", known.service))),
        Some(Some(why)) => bail!("{} refused it: {why}", known.service),
        None => println!("{}", bad(&format!("{} hasn't applied it within {} s", known.service, ADOPTION.as_secs()))),
    }
    Ok(())
}

/// The flag with this name; `None` if it is unknown and `--any` is set.
fn find(name: &str, any: bool) -> Result<Option<&'static Known>> {
    let known = KNOWN.iter().find(|known| known.name == name);
    if known.is_none() && !any {
        let refused = unknown("flag", name, KNOWN.iter().map(|known| known.name));
        bail!("{refused} (use --any to set a flag that no service uses)");
    }
    Ok(known)
}

/// The definition that the options stand for.
fn definition(options: &SetOptions) -> Result<String> {
    if let Some(path) = options.value.strip_prefix('@') {
        if !options.users.is_empty() {
            bail!("--user works only with on, off and percentages; the definition in {path} names its own users");
        }
        return fs::read_to_string(path).with_context(|| format!("{path} can't be read"));
    }
    let (default, share) = match options.value.as_str() {
        "on" | "true" => ("on", None),
        "off" | "false" => ("off", None),
        share => ("off", Some(parts_of(share)?)),
    };
    let mut rule = share.map(|(on, off)| json!({ "fractional": [["on", on], ["off", off]] }));
    if !options.users.is_empty() {
        let users: Vec<&str> = options.users.iter().map(|user| user.trim_start_matches("users/")).collect();
        if let Some(wrong) = users.iter().find(|user| uuid::Uuid::parse_str(user).is_err()) {
            bail!("--user {wrong}: expected a user id such as users/0190a7e0-0000-7000-8000-000000000000");
        }
        let others = rule.unwrap_or(Value::Null);
        rule = Some(json!({ "if": [{ "in": [{ "var": "targetingKey" }, users] }, "on", others] }));
    }
    let mut flag = json!({
        "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": default,
    });
    if let Some(rule) = rule {
        flag["targeting"] = rule;
    }
    Ok(flag.to_string())
}

/// The weights of a percentage: whole ones out of 100, finer ones out of 10000.
fn parts_of(share: &str) -> Result<(u32, u32)> {
    let wrong = || {
        let meant = nearest(share, ["on", "off", "true", "false"]);
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        format!("invalid value {share:?}; use on, off, a percentage such as 25%, or @FILE{meant}")
    };
    let number = share.strip_suffix('%').with_context(wrong)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.len() > 2 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
        bail!("invalid percentage {share:?}: at most two decimal places");
    }
    let whole: u32 = whole.parse().with_context(wrong)?;
    let hundredths: u32 = format!("{part:0<2}").parse().with_context(wrong)?;
    let (on, all) = if hundredths == 0 { (whole, 100) } else { (whole.saturating_mul(100) + hundredths, 10_000) };
    if on > all {
        bail!("invalid percentage {share:?}: at most 100%");
    }
    Ok((on, all - on))
}

/// A short description of a definition.
fn summary(text: &str) -> String {
    let Ok(flag) = serde_json::from_str::<Value>(text) else { return "not JSON".to_owned() };
    if flag["state"] == "DISABLED" {
        return "disabled".to_owned();
    }
    let default = flag["defaultVariant"].as_str().unwrap_or("the service's default").to_owned();
    let share = |rule: &Value| {
        let shares = rule["fractional"].as_array()?;
        let weight = |share: &Value| share[1].as_u64();
        let all: u64 = shares.iter().filter_map(weight).sum();
        #[expect(clippy::cast_precision_loss, reason = "a percentage for display")]
        let percent = weight(shares.first()?)? as f64 * 100.0 / all.max(1) as f64;
        Some(format!("{} for {percent}% of the users", shares.first()?[0].as_str()?))
    };
    match &flag["targeting"] {
        Value::Null => default,
        rule => match (share(rule), rule["if"].as_array().and_then(|parts| parts.get(2))) {
            (Some(share), _) => share,
            (None, Some(Value::Null)) => format!("{default}, on for named users"),
            (None, Some(others)) => {
                share(others).map_or_else(|| "by a rule".to_owned(), |share| format!("{share}, on for named users"))
            }
            (None, None) => "by a rule".to_owned(),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::*;

    const ADA: &str = "0190a7e0-0000-7000-8000-00000000ada1";
    const BOB: &str = "0190a7e0-0000-7000-8000-00000000b0b1";

    fn options(value: &str, users: &[&str]) -> SetOptions {
        let users = users.iter().map(ToString::to_string).collect();
        SetOptions { flag: "single-notice".to_owned(), value: value.to_owned(), users, any: false }
    }

    #[test]
    fn values_become_definitions_that_services_accept() {
        let named = format!("users/{ADA}");
        for (value, users, shown) in [
            ("on", vec![], "on"),
            ("off", vec![], "off"),
            ("25%", vec![], "on for 25% of the users"),
            ("0.5%", vec![], "on for 0.5% of the users"),
            ("100%", vec![], "on for 100% of the users"),
            ("off", vec![named.as_str()], "off, on for named users"),
            ("10%", vec![ADA, BOB], "on for 10% of the users, on for named users"),
        ] {
            let definition = definition(&options(value, &users)).unwrap();
            Flag::parse("single-notice", &definition).unwrap();
            assert_eq!(summary(&definition), shown, "{definition}");
        }
        let definition = definition(&options("off", &[&named])).unwrap();
        assert!(definition.contains(&format!(r#"["{ADA}"]"#)), "{definition}");
    }

    #[test]
    fn invalid_values_are_refused() {
        for value in ["onn", "25", "-1%", "101%", "0.125%", "%", "1.x%", "@/there/is/no/such/file"] {
            assert!(definition(&options(value, &[])).is_err(), "{value}");
        }
        assert!(definition(&options("off", &["users/bob"])).unwrap_err().to_string().contains("expected a user id"));
        let meant = find("acept-orders", false).map(|_| ()).unwrap_err().to_string();
        assert!(meant.contains("unknown flag \"acept-orders\"; use one of"), "{meant}");
        let meant = definition(&options("of", &[])).unwrap_err().to_string();
        assert!(meant.contains("did you mean off?"), "{meant}");
        assert!(find("acept-orders", true).unwrap().is_none());
        assert_eq!(find("accept-orders", false).unwrap().unwrap().service, "orders");
    }
}
