//! NATS and Redis refuse clients without a password, and no password is shown anywhere.

use async_nats::jetstream;
use flotilla_fleet::{
    SERVICES,
    credentials::{nats_users, secrets::Secrets},
};
use flotilla_messaging::broker::nats::connect;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{canary::search, fleet::fleet, http};

/// The response of Redis to an inline command.
async fn ask(address: &str, command: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 256];
    let size = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..size]).into_owned()
}

#[tokio::test]
async fn without_credentials_the_servers_refuse() {
    let fleet = fleet().await;
    let nats = &fleet.state.member("nats").unwrap().address;
    let refused = async_nats::connect(nats).await.expect_err("a nameless client gets in");
    assert!(refused.to_string().contains("authorization"), "{refused}");
    connect(&fleet.databases.nats_url).await.unwrap();
    let redis = fleet.state.member("redis").unwrap().address.replace("redis://", "");
    let answer = ask(&redis, "DBSIZE").await;
    assert!(answer.starts_with("-NOAUTH"), "{answer}");
}

#[tokio::test]
async fn a_service_cannot_write_into_the_stream_of_another() {
    let fleet = fleet().await;
    let secrets = Secrets::load(&fleet.home).unwrap();
    let users = nats_users::users(&secrets.nats_passwords);
    let notification = users.iter().find(|user| user.name == "notification").unwrap();
    let address = &fleet.state.member("nats").unwrap().address;
    let client = connect(&notification.at(address)).await.unwrap();
    let count = async || {
        let context = jetstream::new(connect(&fleet.databases.nats_url).await.unwrap());
        context.get_stream("ORDERS").await.unwrap().info().await.unwrap().state.messages
    };
    let before = count().await;
    client.publish("flotilla.orders.payments", "a forged charge".into()).await.unwrap();
    client.flush().await.unwrap();
    assert!(jetstream::new(client).delete_stream("ORDERS").await.is_err());
    assert_eq!(count().await, before);
}

#[tokio::test]
async fn passwords_are_shown_nowhere() {
    let fleet = fleet().await;
    let secrets = Secrets::load(&fleet.home).unwrap();
    let passwords: Vec<_> = secrets.nats_passwords.values().chain([&secrets.redis_password]).collect();
    let status = fleet.command(&["status"]).await;
    let mut told = vec![
        ("status".to_owned(), format!("{status:?}")),
        ("status as JSON".to_owned(), fleet.state.to_json().unwrap()),
    ];
    for service in SERVICES {
        let config = http::get(fleet.state.admin(service).unwrap(), "/config", None).await;
        assert_eq!(config.status, 200);
        assert!(config.body.contains("nats_url"), "{}", config.body);
        told.push((format!("/config of {service}"), config.body));
    }
    for member in fleet.state.members.iter().filter_map(|member| Some((&member.name, member.pid?))) {
        let arguments = std::fs::read(format!("/proc/{}/cmdline", member.1)).unwrap();
        told.push((format!("arguments of {}", member.0), String::from_utf8_lossy(&arguments).into_owned()));
    }
    told.extend(search::logs(&fleet.home));
    let shown: Vec<_> = told
        .iter()
        .filter(|(_, text)| passwords.iter().any(|password| text.contains(password.as_str())))
        .map(|(place, _)| place)
        .collect();
    assert!(shown.is_empty(), "passwords are shown by {shown:?}");
}
