use std::net::{Ipv4Addr, TcpListener};

use async_nats::jetstream::{self, stream};
use flotilla_servers::{Nats, NatsOptions, NatsUser};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Fixture, assert_kept_secret, is_alive};

async fn jetstream(nats: &Nats) -> jetstream::Context {
    jetstream::new(async_nats::connect(nats.url()).await.expect("nats-server accepts us"))
}

async fn publish(context: &jetstream::Context) {
    let config = stream::Config { name: "KEPT".into(), subjects: vec!["kept.>".into()], ..stream::Config::default() };
    context.get_or_create_stream(config).await.unwrap();
    context.publish("kept.one", "payload".into()).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn it_responds_on_both_ports() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("nats");
    let mut nats = Nats::start(&fixture.binaries, &fixture.layout, &name, NatsOptions::default()).await.unwrap();
    publish(&jetstream(&nats).await).await;
    let address = nats.monitor_url().replace("http://", "");
    let mut monitor = tokio::net::TcpStream::connect(address).await.unwrap();
    monitor.write_all(b"GET /jsz HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    monitor.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("200 OK") && answer.contains("\"streams\": 1"), "{answer}");
    nats.stop().await.unwrap();
}

#[tokio::test]
async fn kill_and_restart_keep_the_streams_until_they_are_wiped() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("nats");
    let mut nats = Nats::start(&fixture.binaries, &fixture.layout, &name, NatsOptions::default()).await.unwrap();
    let (port, pid, monitor) = (nats.port(), nats.pid(), nats.monitor_url());
    publish(&jetstream(&nats).await).await;
    nats.kill().await;
    assert!(!is_alive(pid));

    nats.restart().await.unwrap();
    assert_eq!((nats.port(), nats.monitor_url()), (port, monitor));
    let mut stream = jetstream(&nats).await.get_stream("KEPT").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 1);

    assert!(nats.wipe_data().is_err());
    nats.kill().await;
    assert!(nats.store_dir().exists());
    nats.wipe_data().unwrap();
    nats.restart().await.unwrap();
    assert!(jetstream(&nats).await.get_stream("KEPT").await.is_err());
    nats.stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_no_error() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("nats");
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = Some(holder.local_addr().unwrap().port());
    let options = NatsOptions { port: taken, monitor_port: taken, ..NatsOptions::default() };
    let mut nats = Nats::start(&fixture.binaries, &fixture.layout, &name, options).await.unwrap();
    assert_ne!(Some(nats.port()), taken);
    publish(&jetstream(&nats).await).await;
    nats.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_waits_for_its_port() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("nats");
    let mut nats = Nats::start(&fixture.binaries, &fixture.layout, &name, NatsOptions::default()).await.unwrap();
    let port = nats.port();
    nats.kill().await;
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let log = nats.log();
    let refused = || std::fs::read_to_string(&log).unwrap().contains("address already in use");
    let release = async {
        crate::support::until("the server finds its port taken", std::time::Duration::from_secs(120), refused).await;
        drop(holder);
    };
    let (restarted, ()) = tokio::join!(nats.restart(), release);
    restarted.unwrap();
    assert_eq!(nats.port(), port);
    nats.stop().await.unwrap();
    assert!(!is_alive(nats.pid()));
}

fn user(name: &str, password: &str, may_not_publish: &[&str]) -> NatsUser {
    let may_not_publish = may_not_publish.iter().map(|subject| (*subject).to_owned()).collect();
    NatsUser { name: name.to_owned(), password: password.to_owned(), may_not_publish }
}

async fn connect(nats: &Nats, user: &NatsUser) -> Result<async_nats::Client, async_nats::ConnectError> {
    let login = async_nats::ConnectOptions::with_user_and_password(user.name.clone(), user.password.clone());
    login.connect(nats.url()).await
}

#[tokio::test]
async fn only_its_users_can_connect_and_earlier_streams_are_kept() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("nats");
    let mut open = Nats::start(&fixture.binaries, &fixture.layout, &name, NatsOptions::default()).await.unwrap();
    publish(&jetstream(&open).await).await;
    open.stop().await.unwrap();
    drop(open);

    let orders = user("orders", "a-password-of-orders", &[]);
    let options = NatsOptions { users: vec![orders.clone()], ..NatsOptions::default() };
    let mut nats = Nats::start(&fixture.binaries, &fixture.layout, &name, options).await.unwrap();
    assert!(async_nats::connect(nats.url()).await.is_err(), "a client without credentials connects");
    assert!(connect(&nats, &user("orders", "another", &[])).await.is_err(), "a wrong password is accepted");
    let context = jetstream::new(connect(&nats, &orders).await.unwrap());
    assert_eq!(context.get_stream("KEPT").await.unwrap().info().await.unwrap().state.messages, 1);
    let folder = nats.store_dir().parent().unwrap().to_owned();
    assert_kept_secret(nats.pid(), &folder.join("nats.conf"), &nats.log(), &orders.password);
    nats.stop().await.unwrap();
}

#[tokio::test]
async fn a_user_cannot_publish_to_denied_subjects() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("nats");
    let denied = ["flotilla.payments.>", "$JS.API.STREAM.DELETE.PAYMENTS"];
    let users = vec![user("orders", "one", &denied), user("payments", "other", &[])];
    let options = NatsOptions { users: users.clone(), ..NatsOptions::default() };
    let mut nats = Nats::start(&fixture.binaries, &fixture.layout, &name, options).await.unwrap();
    let owner = jetstream::new(connect(&nats, &users[1]).await.unwrap());
    let subjects = vec!["flotilla.payments.>".to_owned()];
    let config = stream::Config { name: "PAYMENTS".to_owned(), subjects, ..stream::Config::default() };
    owner.create_stream(config).await.unwrap();
    let other = jetstream::new(connect(&nats, &users[0]).await.unwrap());
    assert!(other.delete_stream("PAYMENTS").await.is_err());
    other.client().publish("flotilla.payments.events", "forged".into()).await.unwrap();
    other.client().flush().await.unwrap();
    owner.publish("flotilla.payments.events", "own".into()).await.unwrap().await.unwrap();
    assert_eq!(owner.get_stream("PAYMENTS").await.unwrap().info().await.unwrap().state.messages, 1);
    nats.stop().await.unwrap();
}
