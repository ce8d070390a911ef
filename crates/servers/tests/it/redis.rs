use std::net::{Ipv4Addr, TcpListener};

use flotilla_servers::{Redis, RedisOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Fixture, assert_kept_secret, is_alive};

/// Sends one inline command and returns the first bytes of the response.
async fn ask(redis: &Redis, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 256];
    let size = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..size]).into_owned()
}

#[tokio::test]
async fn it_responds_and_loses_its_data_at_a_restart() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("redis");
    let settings = vec![("maxmemory".to_owned(), "64mb".to_owned())];
    let options = RedisOptions { settings, ..RedisOptions::default() };
    let mut redis = Redis::start(&fixture.binaries, &fixture.layout, &name, options).await.unwrap();
    let (port, pid) = (redis.port(), redis.pid());
    assert_eq!(ask(&redis, "SET key value").await, "+OK\r\n");
    assert_eq!(ask(&redis, "GET key").await, "$5\r\nvalue\r\n");
    assert!(ask(&redis, "CONFIG GET maxmemory").await.contains("67108864"));
    redis.restart().await.unwrap();
    assert_eq!(redis.port(), port);
    assert!(!is_alive(pid));
    assert_eq!(ask(&redis, "GET key").await, "$-1\r\n");
    redis.stop().await.unwrap();
    assert!(!is_alive(redis.pid()) && !redis.is_running());
    redis.stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_no_error() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("redis");
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = holder.local_addr().unwrap().port();
    let options = RedisOptions { port: Some(taken), ..RedisOptions::default() };
    let mut redis = Redis::start(&fixture.binaries, &fixture.layout, &name, options).await.unwrap();
    assert_ne!(redis.port(), taken);
    assert_eq!(ask(&redis, "PING").await, "+PONG\r\n");
    redis.stop().await.unwrap();
}

#[tokio::test]
async fn an_instance_has_one_owner() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("redis");
    let mut first = Redis::start(&fixture.binaries, &fixture.layout, &name, RedisOptions::default()).await.unwrap();
    let second = Redis::start(&fixture.binaries, &fixture.layout, &name, RedisOptions::default()).await;
    assert!(second.unwrap_err().to_string().contains("in use"));
    first.stop().await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_server_is_noticed() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("redis");
    let mut redis = Redis::start(&fixture.binaries, &fixture.layout, &name, RedisOptions::default()).await.unwrap();
    let killed = std::process::Command::new("sh").args(["-c", &format!("kill -9 {}", redis.pid())]).status().unwrap();
    assert!(killed.success());
    assert!(!redis.ended().await.unwrap().success());
    assert!(!redis.is_running());
    redis.restart().await.unwrap();
    assert_eq!(ask(&redis, "PING").await, "+PONG\r\n");
    redis.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_without_the_password_reads_nothing() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("redis");
    let password = "a-password-of-redis".to_owned();
    let options = RedisOptions { password: Some(password.clone()), ..RedisOptions::default() };
    let mut redis = Redis::start(&fixture.binaries, &fixture.layout, &name, options).await.unwrap();
    for command in ["GET key", "INFO server", "AUTH another", "CONFIG GET requirepass"] {
        let answer = ask(&redis, command).await;
        assert!(answer.starts_with("-NOAUTH") || answer.starts_with("-WRONGPASS"), "{command}: {answer}");
    }
    assert_eq!(ask(&redis, &format!("AUTH {password}\r\nPING")).await, "+OK\r\n+PONG\r\n");
    assert_eq!(redis.url(), format!("redis://:{password}@127.0.0.1:{}", redis.port()));
    let data = fixture.layout.root().join("servers/data").join(&name);
    assert_kept_secret(redis.pid(), &data.join("redis.conf"), &redis.log(), &password);
    redis.restart().await.unwrap();
    assert!(ask(&redis, "PING").await.starts_with("-NOAUTH"));
    redis.stop().await.unwrap();
}
