//! Secrets go in everywhere and come out nowhere.
//!
//! A password, a token, a card's number and an e-mail address are put into every input of a fleet that logs and traces
//! all it can. Then everything is searched that the fleet leaves behind. What may hold one, and is not searched for it:
//! * identity's table of users: the address of who signed up (and the hash of their password);
//! * the settings of the fleet's owner, and answers to those who may see what they ask for;
//! * the bytes of a message that can't be applied, in its stream, as a dead letter and where it is parked: it is kept
//!   as it came, to be applied one day. What is said about it is searched.
//!
//! A display name travels: it is in the events of identity, because their contract has it, and nowhere else.

mod marks;
mod plant;
pub mod search;

use std::time::Duration;

use flotilla_checker::{self as checker, Databases};
use flotilla_fleet::{
    command::workload,
    home::{Home, state::State},
};
use flotilla_testkit::otlp::Receiver;
use flotilla_workload::client::Api;

use self::{
    marks::{EMAIL, HARMLESS, NAME, PASSWORD, TEXTS, TOKEN},
    search::Sink,
};
use crate::{fleet, lifecycle::Own};

const PATIENCE: Duration = Duration::from_secs(60);
/// Begins the message that can't be applied.
const POISON: &str = "this is no frame";

/// Runs a program with the fleet's folder and further variables; what it said.
async fn run(home: &Home, program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> fleet::Outcome {
    let mut command = tokio::process::Command::new(fleet::binary().with_file_name(program));
    if program == "fleet" {
        command.arg("--home").arg(home.root()).arg("--servers").arg(home.servers());
    }
    let output = command.args(arguments).envs(variables.iter().copied()).kill_on_drop(true).output();
    let output = tokio::time::timeout(5 * PATIENCE, output).await.expect("a command ends in time").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    fleet::Outcome { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_entered_anywhere_are_shown_nowhere() {
    let receiver = Receiver::start().await;
    let own = Own::new("canary");
    let endpoint = receiver.endpoint();
    let talkative = [
        ("RUST_LOG", "trace"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("FLOTILLA__TELEMETRY__OUTPUT", "both"),
        ("FLOTILLA_LOG_SIZE", "4GiB"),
    ];
    let up = run(&own.0, "fleet", &["up"], &talkative).await;
    assert!(up.success, "{up:?}");
    let state = State::of_running(&own.0).unwrap();
    let databases = Databases::open(&state.stores().unwrap()).await.unwrap();
    let mut sinks = plant_everywhere(&own.0, &state, &databases).await;
    let findings = checker::settled(&state.stores().unwrap(), PATIENCE, 1).await.unwrap();
    assert!(findings.iter().all(|finding| finding.holds), "{findings:#?}");

    sinks.extend(search::metrics(&state).await);
    sinks.extend(search::streams(&databases, POISON).await);
    sinks.extend(search::tables(&databases, POISON).await);
    sinks.extend(search::redis(&state.redis_url).await);
    // What is still on its way to the logs and the collector arrives before a process ends.
    assert!(own.run(&["down"]).await.success);
    sinks.extend(search::logs(&own.0));
    sinks.push(("spans and logs over OTLP".to_owned(), receiver.text()));

    assert_searched(&sinks, &receiver);
    let hits: Vec<String> = sinks
        .iter()
        .flat_map(|(sink, text)| marks::found(text).into_iter().map(move |hit| format!("{sink}: {hit}")))
        .collect();
    assert!(hits.is_empty(), "{} secrets are told:\n{}", hits.len(), hits.join("\n"));
    let names: Vec<&str> =
        sinks.iter().filter(|(_, text)| text.contains(NAME)).map(|(sink, _)| sink.as_str()).collect();
    // A display name is no secret: events carry it, and what is logged at the level `trace` may show them.
    let allowed = ["outbox of identity", "stream IDENTITY", "log ", "spans and logs over OTLP"];
    assert!(names.iter().all(|sink| allowed.iter().any(|begin| sink.starts_with(begin))), "{names:?}");
}

/// Everything was read, and what was planted had come there.
fn assert_searched(sinks: &[Sink], receiver: &Receiver) {
    let holds = |name: &str, text: &str| sinks.iter().any(|(sink, held)| sink.starts_with(name) && held.contains(text));
    for service in flotilla_fleet::SERVICES {
        assert!(holds(&format!("log {service}"), "\"TRACE\""), "{service} doesn't log all that it can");
        assert!(receiver.logs().iter().any(|log| log.service == service), "{service} sends no logs");
        assert!(receiver.spans().iter().any(|span| span.service == service), "{service} sends no spans");
    }
    for (sink, text) in [
        ("log gateway", HARMLESS),
        ("log identity", HARMLESS),
        ("metrics of orders", "flotilla_build_info"),
        ("stream IDENTITY", "flotilla.identity"),
        ("outbox of identity", NAME),
        ("parked of inventory", "flotilla.orders.inventory"),
        ("redis", "products"),
        ("spans", HARMLESS),
        ("refusals", "INVALID_ARGUMENT"),
    ] {
        assert!(holds(sink, text), "{sink} was to hold {text:?}");
    }
}

/// Returns what was said to whoever sent it.
async fn plant_everywhere(home: &Home, state: &State, databases: &Databases) -> Vec<Sink> {
    let api = Api::of(&workload::fleet(home).unwrap()).unwrap();
    let operator = api.operator(&workload::fleet(home).unwrap()).await.unwrap();
    let token = operator.authorization().to_str().unwrap().to_owned();
    let gateway = &state.member("gateway").unwrap().address;

    // Whom the address and the password belong to: these come in for good reason.
    let ann = api.sign_up(EMAIL, NAME, PASSWORD).await.unwrap();
    assert!(api.sign_in(EMAIL, TOKEN).await.is_err() && api.sign_in(TEXTS[4], PASSWORD).await.is_err());
    operator.create_product("canary", "Cage", fleet::dollars(100).into()).await.unwrap();
    operator.adjust_stock("canary", 5, HARMLESS).await.unwrap();
    let own = ann.authorization().to_str().unwrap().to_owned();
    for path in ["/v1/products/canary", "/v1/products/canary", "/v1/orders", "/v1/auth/sessions"] {
        crate::http::get(gateway, path, Some(&own)).await;
    }

    let mut said = plant::into_every_call(&api, &operator).await;
    said.extend(plant::into_http(gateway, &token).await);
    for member in state.members.iter().filter(|member| member.is_service) {
        said.extend(plant::into_admin(state.admin(&member.name).unwrap()).await);
    }
    poison(databases).await;
    vec![("refusals".to_owned(), said.join("\n")), ("commands".to_owned(), commands(home).await)]
}

/// A message that nobody can apply.
async fn poison(databases: &Databases) {
    let client = flotilla_messaging::broker::nats::connect(&databases.nats_url).await.unwrap();
    let payload = format!("{POISON} {}", TEXTS[4]);
    let context = async_nats::jetstream::new(client);
    context.publish("flotilla.orders.inventory", payload.into()).await.unwrap().await.unwrap();
}

/// Settings and arguments, right and wrong, of services and of the fleet's own command.
async fn commands(home: &Home) -> String {
    let url = |role: &str| format!("postgres://orders_{role}:{PASSWORD}@127.0.0.1:1/orders");
    let [system, user, owner] = ["system", "user", "owner"].map(url);
    let settings = [
        ("FLOTILLA__POSTGRES__SYSTEM_URL", system.as_str()),
        ("FLOTILLA__POSTGRES__USER_URL", user.as_str()),
        ("FLOTILLA__POSTGRES__OWNER_URL", owner.as_str()),
        ("FLOTILLA__ADMIN__PASSWORD", PASSWORD),
        ("FLOTILLA__ADMIN__EMAIL", "canary@shop.example"),
    ];
    let broken = [
        ("FLOTILLA__POSTGRES__SYSTEM_URL", "password=cAnary-hunter-7f3a91 host=[ port=x"),
        ("FLOTILLA__ADMIN__PASSWORD", PASSWORD),
        ("FLOTILLA__SERVICE__GRACE", TEXTS[4]),
        ("FLOTILLA__NATS__URL", "nats://ann:cAnary-hunter-7f3a91@[nowhere"),
        ("FLOTILLA__PASSWORD", PASSWORD),
    ];
    let mut said = Vec::new();
    for variables in [&settings[..], &broken[..]] {
        for arguments in [
            &["identity", "--print-config"][..],
            &["identity", "--print-config=json"],
            &["identity", "migrate"],
            &["orders", "migrate"],
            &["identity", "migrate", "--admin.password", PASSWORD, "--service.grace", EMAIL],
            &["identity", "migrate", &format!("--auth.token={TOKEN}")],
            &["identity", TEXTS[4]],
            &[EMAIL],
        ] {
            said.push(format!("{:?}", run(home, "flotilla", arguments, variables).await));
        }
    }
    for arguments in [
        &["token", "--as", EMAIL, "--password", TOKEN][..],
        &["timeline", &format!("orders/{EMAIL}")],
        &["logging", "set", "debug", "--user", EMAIL],
        &["logging", "set", "debug", "--module", TEXTS[4]],
        &["stop", TEXTS[4]],
        &["logs", EMAIL],
    ] {
        said.push(format!("{:?}", run(home, "fleet", arguments, &[]).await));
    }
    said.join("\n")
}
