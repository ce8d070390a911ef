//! Reads every place where something may be left: what it is called, and all that it holds.

use flotilla_checker::Databases;
use flotilla_fleet::{
    DATABASES,
    home::{Home, state::State},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::http;

/// A place and what it holds.
pub type Sink = (String, String);

/// Everything that services, servers and supervisor have logged, and what was put aside of it.
pub fn logs(home: &Home) -> Vec<Sink> {
    let mut sinks = Vec::new();
    let own = home.root().join("logs");
    let servers = home.servers().join("logs");
    let ours = home.server_name("");
    for (folder, prefix) in [(own, ""), (servers, ours.as_str())] {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(prefix) {
                sinks.push((format!("log {name}"), lossy(&std::fs::read(entry.path()).unwrap())));
            }
        }
    }
    sinks
}

/// What the services tell a scraper, in both formats.
pub async fn metrics(state: &State) -> Vec<Sink> {
    let mut sinks = Vec::new();
    for member in state.members.iter().filter(|member| member.is_service) {
        let admin = state.admin(&member.name).unwrap();
        for accept in ["text/plain", "application/openmetrics-text"] {
            let answer = http::send(admin, "GET", "/metrics", None, &[("accept", accept)], b"").await;
            assert_eq!(answer.status, 200);
            sinks.push((format!("metrics of {}", member.name), answer.body));
        }
    }
    sinks
}

/// Every message of every stream, with its subject and headers; key-value buckets are streams too. The bytes of the
/// `planted` message are left out: it is there because it was put there, and again as a dead letter, as it came.
pub async fn streams(databases: &Databases, planted: &str) -> Vec<Sink> {
    use futures::TryStreamExt as _;
    let client = flotilla_messaging::broker::nats::connect(&databases.nats_url).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let names: Vec<String> = context.stream_names().try_collect().await.unwrap();
    let mut sinks = Vec::new();
    for name in names {
        let mut stream = context.get_stream(&name).await.unwrap();
        let state = stream.info().await.unwrap().state.clone();
        let mut text = String::new();
        for sequence in state.first_sequence..=state.last_sequence {
            // What has been deleted leaves a gap.
            if let Ok(message) = stream.get_raw_message(sequence).await {
                let payload = lossy(&message.payload);
                let payload = if payload.contains(planted) { "" } else { payload.as_str() };
                text.push_str(&format!("{} {:?} {payload}\n", message.subject, message.headers));
            }
        }
        sinks.push((format!("stream {name}"), text));
    }
    sinks
}

/// The rows of outboxes, and what is said of parked messages; the bytes of the `planted` one are left out.
pub async fn tables(databases: &Databases, planted: &str) -> Vec<Sink> {
    let mut sinks = Vec::new();
    for service in DATABASES {
        let outbox = "SELECT subject, events::text, event FROM outbox";
        let parked = "SELECT consumer || ' ' || subject || ' ' || kind, reason, event FROM parked";
        for (what, sql) in [("outbox", outbox), ("parked", parked)] {
            let rows = databases.rows(service, sql).await.unwrap();
            let text = rows.iter().map(|row| {
                let (subject, kind, event): (String, String, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
                let event = lossy(&event);
                let event = if event.contains(planted) { "" } else { event.as_str() };
                format!("{subject} {kind} {event}\n")
            });
            sinks.push((format!("{what} of {service}"), text.collect()));
        }
    }
    sinks
}

/// Every key of Redis with its value.
pub async fn redis(address: &str) -> Vec<Sink> {
    let (password, address) = address.trim_start_matches("redis://:").split_once('@').unwrap();
    let mut redis = BufReader::new(TcpStream::connect(address).await.unwrap());
    ask(&mut redis, &[b"AUTH", password.as_bytes()]).await;
    let keys = ask(&mut redis, &[b"KEYS", b"*"]).await;
    let mut text = String::new();
    for key in &keys {
        let value = match lossy(&ask(&mut redis, &[b"TYPE", key]).await.concat()).as_str() {
            "string" => ask(&mut redis, &[b"GET", key]).await,
            "hash" => ask(&mut redis, &[b"HGETALL", key]).await,
            "set" => ask(&mut redis, &[b"SMEMBERS", key]).await,
            "list" => ask(&mut redis, &[b"LRANGE", key, b"0", b"-1"]).await,
            other => panic!("{} is a {other}", lossy(key)),
        };
        text.push_str(&format!("{} = {}\n", lossy(key), lossy(&value.concat())));
    }
    vec![("redis".to_owned(), text)]
}

/// A command and its answer, as the parts that it consists of.
async fn ask(redis: &mut BufReader<TcpStream>, words: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        command.extend_from_slice(word);
        command.extend_from_slice(b"\r\n");
    }
    redis.write_all(&command).await.unwrap();
    let (mut parts, mut left) = (Vec::new(), 1);
    while left > 0 {
        left -= 1;
        let mut line = String::new();
        redis.read_line(&mut line).await.unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "*" => left += rest.parse::<usize>().unwrap_or_default(),
            "$" if rest != "-1" => {
                let mut part = vec![0; rest.parse::<usize>().unwrap() + 2];
                redis.read_exact(&mut part).await.unwrap();
                part.truncate(part.len() - 2);
                parts.push(part);
            }
            "-" => panic!("redis: {rest}"),
            _ => parts.push(rest.as_bytes().to_vec()),
        }
    }
    parts
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
