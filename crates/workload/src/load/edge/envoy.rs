//! Envoy with its `grpc_json_transcoder` in front of the same orders service, in a minimal configuration: no token
//! check, no access log, no request id; as many workers as the machine has cores, like the gateway.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Instant, sleep},
};

const START: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);
const TYPES: &str = "type.googleapis.com/envoy.extensions";

/// A running Envoy, killed on drop.
pub struct Envoy {
    process: Child,
    /// Host and port.
    pub address: String,
    /// Its name and version.
    pub version: String,
}

impl Envoy {
    /// Writes its configuration into a folder and starts it before the service of orders at a host and port.
    ///
    /// # Errors
    /// When it doesn't start in time.
    pub async fn start(program: &Path, folder: &Path, orders: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let descriptors = fs::canonicalize(folder)?.join("descriptors.bin");
        fs::write(&descriptors, flotilla_proto::FILE_DESCRIPTOR_SET)?;
        // A free port; one that Envoy chose itself would be shown only on its admin port.
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let config = folder.join("envoy.json");
        let descriptors = descriptors.to_str().context("the folder's name is not UTF-8")?;
        fs::write(&config, configuration(port, orders, descriptors)?.to_string())?;
        let log = fs::File::create(folder.join("envoy.log"))?;
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let process = Command::new(program)
            .arg("--config-path")
            .arg(&config)
            .args(["--concurrency", &workers.to_string(), "--log-level", "error"])
            .args(["--use-dynamic-base-id", "--disable-hot-restart"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("can't start {}", program.display()))?;
        let version = version(program).await?;
        let mut envoy = Self { process, address: format!("127.0.0.1:{port}"), version };
        envoy.until_up().await.with_context(|| format!("see {}", folder.join("envoy.log").display()))?;
        Ok(envoy)
    }

    /// Its process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn process(&self) -> Result<u32> {
        self.process.id().context("Envoy has exited")
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it can't be ended.
    pub async fn stop(mut self) -> Result<()> {
        self.process.kill().await.context("can't stop Envoy")
    }

    async fn until_up(&mut self) -> Result<()> {
        let until = Instant::now() + START;
        while TcpStream::connect(&self.address).await.is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("Envoy exited with {status}");
            }
            if Instant::now() > until {
                bail!("Envoy isn't ready after {} s", START.as_secs());
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

async fn version(program: &Path) -> Result<String> {
    let output = Command::new(program).arg("--version").output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    // "... version: <commit>/1.40.0/Clean/RELEASE/BoringSSL"
    Ok(format!("Envoy {}", text.split('/').rev().nth(3).unwrap_or("of unknown version")))
}

/// One listener, one route, one cluster.
fn configuration(port: u16, orders: &str, descriptors: &str) -> Result<Value> {
    let (host, orders_port) = orders.rsplit_once(':').context("orders has no port")?;
    let orders_port: u16 = orders_port.parse()?;
    let socket = |host: &str, port: u16| json!({"socket_address": {"address": host, "port_value": port}});
    let transcoder = json!({
        "@type": format!("{TYPES}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"),
        "proto_descriptor": descriptors,
        "services": ["flotilla.orders.v1.OrderService"],
        "convert_grpc_status": true,
    });
    let manager = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "rest",
        "generate_request_id": false,
        "route_config": {"virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "orders", "timeout": "10s"}}],
        }]},
        "http_filters": [
            {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": format!("{TYPES}.filters.http.router.v3.Router")},
            },
        ],
    });
    let http2 = json!({
        "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": {"http2_protocol_options": {}},
    });
    Ok(json!({"static_resources": {
        "listeners": [{
            "name": "rest",
            "address": socket("127.0.0.1", port),
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager,
            }]}],
        }],
        "clusters": [{
            "name": "orders",
            "type": "STATIC",
            "connect_timeout": "2s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "load_assignment": {
                "cluster_name": "orders",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(host, orders_port)}}]}],
            },
        }],
    }}))
}
