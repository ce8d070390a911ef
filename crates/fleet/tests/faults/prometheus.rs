//! A Prometheus of the test's own: scrapes every service each second, and is asked over its API.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Stdio, time::Duration};

use flotilla_fleet::home::state::State;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::{fleet::workspace, rules};

/// Where the script has put the program.
const PROGRAM: &str = "FLOTILLA_TEST_PROMETHEUS";
const START: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// The running server; killed when it is dropped.
pub struct Prometheus {
    address: String,
    _process: Child,
}

/// An alert that is pending or fires.
#[derive(Clone, Debug, Deserialize)]
pub struct Alert {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub state: String,
}

impl Alert {
    pub fn name(&self) -> &str {
        &self.labels["alertname"]
    }

    pub fn fires(&self) -> bool {
        self.state == "firing"
    }
}

/// One series of an instant query.
#[derive(Clone, Debug, Deserialize)]
pub struct Sample {
    pub metric: BTreeMap<String, String>,
    value: (f64, String),
}

impl Sample {
    pub fn value(&self) -> f64 {
        self.value.1.parse().unwrap()
    }

    /// Whether a label has this value.
    pub fn is(&self, label: &str, value: &str) -> bool {
        self.metric.get(label).is_some_and(|found| found == value)
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Series {
    result: Vec<Sample>,
}

impl Prometheus {
    /// Starts it in a folder and waits until it has scraped every service.
    pub async fn start(folder: &Path, state: &State) -> Self {
        let program = std::env::var(PROGRAM).unwrap_or_else(|_| panic!("{PROGRAM} is not set: run `make test-faults`"));
        let folder = folder.join("prometheus");
        fs::create_dir_all(folder.join("rules")).unwrap();
        let files = rules::write_faster(&workspace().join("observability/prometheus/rules"), &folder.join("rules"));
        assert!(files > 0, "there are no rules");
        fs::write(folder.join("prometheus.yml"), configuration(state)).unwrap();
        let address = format!("127.0.0.1:{}", flotilla_servers::free_port().unwrap());
        let log = fs::File::create(folder.join("log")).unwrap();
        let process = Command::new(program)
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let prometheus = Self { address, _process: process };
        let deadline = Instant::now() + START;
        let services = state.members.iter().filter(|member| member.is_service).count();
        while prometheus.try_query("sum(up)").await.ok().and_then(|up| Some(up.first()?.value()))
            != Some(services as f64)
        {
            assert!(Instant::now() < deadline, "not every service is scraped: see {}", folder.join("log").display());
            sleep(PAUSE).await;
        }
        prometheus
    }

    /// All alerts that are pending or fire.
    pub async fn alerts(&self) -> Vec<Alert> {
        self.ask::<Alerts>("/api/v1/alerts").await.unwrap().alerts
    }

    /// An instant query.
    pub async fn query(&self, query: &str) -> Vec<Sample> {
        self.try_query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Waits until a query's only series is above a value.
    pub async fn until_above(&self, query: &str, value: f64) {
        let deadline = Instant::now() + START;
        while self.query(query).await.first().is_none_or(|series| series.value() <= value) {
            assert!(Instant::now() < deadline, "{query} isn't above {value} in time");
            sleep(PAUSE).await;
        }
    }

    async fn try_query(&self, query: &str) -> Result<Vec<Sample>, String> {
        Ok(self.ask::<Series>(&format!("/api/v1/query?query={}", encoded(query))).await?.result)
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, String> {
        let body = timeout(ANSWER, self.get(path)).await.map_err(|_| "no answer in time")?;
        let body = body.map_err(|error| error.to_string())?;
        let answer: Envelope<T> = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        answer.data.filter(|_| answer.status == "success").ok_or(answer.error)
    }

    /// By HTTP/1.0, whose answers are not in chunks.
    async fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
    }
}

/// As the repository's own, each second: the job is the service's name.
fn configuration(state: &State) -> String {
    let mut text = "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\n".to_owned();
    text.push_str("rule_files:\n  - rules/*.yaml\nscrape_configs:\n");
    for member in state.members.iter().filter(|member| member.is_service) {
        let (name, admin) = (&member.name, state.admin(&member.name).unwrap());
        writeln!(text, "  - job_name: {name}\n    static_configs:\n      - targets: [\"{admin}\"]").unwrap();
    }
    text
}

fn encoded(query: &str) -> String {
    query.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => text.push(char::from(byte)),
            _ => write!(text, "%{byte:02X}").unwrap(),
        }
        text
    })
}
