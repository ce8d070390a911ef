//! A collector in the test: takes traces and logs over OTLP's gRPC, keeps them, and tells what came.
//!
//! Guarantees: it listens on loopback, on a port of its own, and ends when it is dropped; what an exporter was answered
//! is there to be read. Waiting has a deadline, and its failure shows every span that came.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::TIMEOUT;

mod received;

pub use received::{ReceivedEvent, ReceivedLink, ReceivedLog, ReceivedSpan};

/// Largest request that is taken: a test's exporters may have gathered much.
const LARGEST: usize = 64 * 1024 * 1024;

/// The collector.
pub struct Receiver {
    address: SocketAddr,
    kept: Kept,
    /// Stops the server.
    _stop: DropGuard,
}

/// What came so far.
#[derive(Default)]
struct Everything {
    spans: Vec<ReceivedSpan>,
    logs: Vec<ReceivedLog>,
    /// Every request as text, whatever is in it.
    text: String,
}

#[derive(Clone)]
struct Kept(Arc<watch::Sender<Everything>>);

impl Receiver {
    /// Starts a collector.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Kept(Arc::new(watch::Sender::new(Everything::default())));
        let stop = CancellationToken::new();
        let server = Server::builder()
            .add_service(TraceServiceServer::new(kept.clone()).max_decoding_message_size(LARGEST))
            .add_service(LogsServiceServer::new(kept.clone()).max_decoding_message_size(LARGEST));
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped));
        Self { address, kept, _stop: stop.drop_guard() }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be for traces and logs to come here.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans that came so far.
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.kept.0.borrow().spans.clone()
    }

    /// The log records that came so far.
    #[must_use]
    pub fn logs(&self) -> Vec<ReceivedLog> {
        self.kept.0.borrow().logs.clone()
    }

    /// All that came as text, every attribute and name of it: to be searched for what must not be there.
    #[must_use]
    pub fn text(&self) -> String {
        self.kept.0.borrow().text.clone()
    }

    /// Waits until the spans that came fulfil `condition`, and returns them.
    ///
    /// # Panics
    /// They don't within a minute; the message has all of them.
    pub async fn wait_until(&self, condition: impl Fn(&[ReceivedSpan]) -> bool) -> Vec<ReceivedSpan> {
        let mut kept = self.kept.0.subscribe();
        let met = timeout(TIMEOUT, kept.wait_for(|kept| condition(&kept.spans))).await;
        match met {
            Ok(kept) => kept.unwrap().spans.clone(),
            Err(_) => {
                panic!("the spans expected have not come within {TIMEOUT:?}; there are\n{}", tree(&self.spans()))
            }
        }
    }

    /// Waits until the log records that came fulfil `condition`, and returns them.
    ///
    /// # Panics
    /// They don't within a minute.
    pub async fn wait_until_logs(&self, condition: impl Fn(&[ReceivedLog]) -> bool) -> Vec<ReceivedLog> {
        let mut kept = self.kept.0.subscribe();
        let met = timeout(TIMEOUT, kept.wait_for(|kept| condition(&kept.logs))).await;
        match met {
            Ok(kept) => kept.unwrap().logs.clone(),
            Err(_) => panic!("the logs expected have not come within {TIMEOUT:?}; there are\n{:#?}", self.logs()),
        }
    }
}

/// Spans as an indented tree, one line each: to be read where a test fails.
#[must_use]
pub fn tree(spans: &[ReceivedSpan]) -> String {
    let mut children: BTreeMap<&str, Vec<&ReceivedSpan>> = BTreeMap::new();
    let mut roots = Vec::new();
    for span in spans {
        match &span.parent_id {
            Some(parent) if spans.iter().any(|other| other.span_id == *parent) => {
                children.entry(parent).or_default().push(span);
            }
            _ => roots.push(span),
        }
    }
    let mut text = String::new();
    let mut open: Vec<(usize, &ReceivedSpan)> = roots.into_iter().rev().map(|span| (0, span)).collect();
    while let Some((depth, span)) = open.pop() {
        let ReceivedSpan { service, kind, name, trace_id, parent_id, links, status, .. } = span;
        let far = if depth == 0 { parent_id.as_deref().unwrap_or("none") } else { "above" };
        let (links, indent) = (links.len(), "  ".repeat(depth));
        let _ =
            writeln!(text, "{indent}{service} {kind} `{name}` trace {trace_id} parent {far} links {links} {status:?}");
        open.extend(children.get(span.span_id.as_str()).into_iter().flatten().rev().map(|span| (depth + 1, *span)));
    }
    text
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        self.0.send_modify(|kept| {
            let _ = writeln!(kept.text, "{request:?}");
            kept.spans.extend(received::spans(request));
        });
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Kept {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let request = request.into_inner();
        self.0.send_modify(|kept| {
            let _ = writeln!(kept.text, "{request:?}");
            kept.logs.extend(received::logs(request));
        });
        Ok(Response::new(Default::default()))
    }
}
