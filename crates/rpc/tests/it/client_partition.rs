//! Partition and heal in a simulated network: the server's whole stack on one host, a channel on the other.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_rpc::{
    AccessRules, Channel, ChannelBuilder, ClientSettings, Connector, Io, Server, ServerSettings, Target,
};
use flotilla_telemetry::Registry;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use turmoil::net::{TcpListener, TcpStream};

const PORT: u16 = 50051;
const KEEPALIVE: Duration = Duration::from_secs(3);

/// TCP of the simulation.
struct Simulated(TcpStream);

impl Connected for Simulated {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Simulated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Simulated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct SimulatedTcp;

impl Connector for SimulatedTcp {
    fn connect(&self, _: &Target, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        Box::pin(async move { Ok(Box::new(Simulated(TcpStream::connect(address).await?)) as Box<dyn Io>) })
    }
}

/// A server that has nothing but its health.
async fn serve() -> turmoil::Result {
    let server = Server::new(&ServerSettings::default(), None, AccessRules::new(), &Registry::new());
    server.health().set_serving(true);
    let service = server.into_service(&CancellationToken::new())?;
    let listener = TcpListener::bind((IpAddr::from([0, 0, 0, 0]), PORT)).await?;
    let incoming = futures::stream::unfold(listener, async |listener| {
        let accepted = listener.accept().await.map(|(stream, _)| Simulated(stream));
        Some((accepted, listener))
    });
    Ok(tonic::transport::Server::builder().serve_with_incoming(service, incoming).await?)
}

fn channel() -> Channel {
    let settings = ClientSettings {
        keepalive_interval: HumanDuration(KEEPALIVE / 3 * 2),
        keepalive_timeout: HumanDuration(KEEPALIVE / 3),
        ..ClientSettings::default()
    };
    let resolver = |host: &str, port: u16| {
        let address = SocketAddr::new(turmoil::lookup(host), port);
        std::future::ready(Ok(vec![address]))
    };
    let builder = ChannelBuilder::new(&settings).resolver(resolver).connector(SimulatedTcp);
    builder.connect(&format!("http://server:{PORT}")).unwrap()
}

async fn check(channel: &Channel, timeout: Duration) -> Result<(), Status> {
    let mut request = Request::new(HealthCheckRequest::default());
    request.set_timeout(timeout);
    HealthClient::new(channel.clone()).check(request).await.map(drop)
}

#[test]
fn a_call_in_a_partition_fails_in_time_and_the_channel_works_again_afterwards() {
    let mut sim = turmoil::Builder::new().simulation_duration(Duration::from_secs(120)).rng_seed(7).build();
    sim.host("server", serve);
    sim.client("client", async {
        let channel = channel();
        let second = Duration::from_secs(1);
        check(&channel, second).await?;
        let mut health = HealthClient::new(channel.clone());
        let mut watch = health.watch(HealthCheckRequest::default()).await?.into_inner();
        watch.message().await?.expect("the state of now");

        turmoil::partition("client", "server");
        let began = Instant::now();
        assert_eq!(check(&channel, second).await.unwrap_err().code(), Code::DeadlineExceeded);
        assert!(began.elapsed() < 2 * second, "within its deadline: {:?}", began.elapsed());
        assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
        assert!(began.elapsed() < KEEPALIVE + second, "within the keepalive time: {:?}", began.elapsed());
        // Connecting takes as long as it may, and no longer.
        let began = Instant::now();
        assert_eq!(check(&channel, 60 * second).await.unwrap_err().code(), Code::Unavailable);
        assert!(began.elapsed() < 10 * second, "{:?}", began.elapsed());

        turmoil::repair("client", "server");
        let healed = Instant::now();
        while check(&channel, second).await.is_err() {
            assert!(healed.elapsed() < 10 * second, "works again");
            sleep(second / 10).await;
        }
        for _ in 0..20 {
            check(&channel, second).await?;
        }
        Ok(())
    });
    sim.run().unwrap();
}
