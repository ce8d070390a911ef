//! A collector in the test process: receives traces and logs over OTLP's gRPC and keeps them.
//!
//! Guarantees: it listens on loopback, on its own port, and stops when it is dropped; accepted exports can be read at
//! once. Every wait has a timeout, and its error shows all spans received.

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

/// Maximum size of a request; exporters may send large batches.
const MAX_REQUEST: usize = 64 * 1024 * 1024;

/// The collector.
pub struct Receiver {
    address: SocketAddr,
    kept: Kept,
    /// Stops the server.
    _stop: DropGuard,
}

/// Everything received so far.
#[derive(Default)]
struct Received {
    spans: Vec<ReceivedSpan>,
    logs: Vec<ReceivedLog>,
    /// All requests as text.
    text: String,
}

#[derive(Clone)]
struct Kept(Arc<watch::Sender<Received>>);

impl Receiver {
    /// Starts a collector.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Kept(Arc::new(watch::Sender::new(Received::default())));
        let stop = CancellationToken::new();
        let server = Server::builder()
            .add_service(TraceServiceServer::new(kept.clone()).max_decoding_message_size(MAX_REQUEST))
            .add_service(LogsServiceServer::new(kept.clone()).max_decoding_message_size(MAX_REQUEST));
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped));
        Self { address, kept, _stop: stop.drop_guard() }
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT` that sends traces and logs here.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans received so far.
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.kept.0.borrow().spans.clone()
    }

    /// The log records received so far.
    #[must_use]
    pub fn logs(&self) -> Vec<ReceivedLog> {
        self.kept.0.borrow().logs.clone()
    }

    /// All requests received, as text, to search for what must not be exported.
    #[must_use]
    pub fn text(&self) -> String {
        self.kept.0.borrow().text.clone()
    }

    /// Waits until the received spans meet `condition`, and returns them.
    ///
    /// # Panics
    /// They don't within the timeout; the message has all of them.
    pub async fn wait_until(&self, condition: impl Fn(&[ReceivedSpan]) -> bool) -> Vec<ReceivedSpan> {
        let mut kept = self.kept.0.subscribe();
        let met = timeout(TIMEOUT, kept.wait_for(|kept| condition(&kept.spans))).await;
        match met {
            Ok(kept) => kept.unwrap().spans.clone(),
            Err(_) => {
                panic!("the expected spans didn't arrive within {TIMEOUT:?}; received:\n{}", tree(&self.spans()))
            }
        }
    }

    /// Waits until the received log records meet `condition`, and returns them.
    ///
    /// # Panics
    /// They don't within the timeout.
    pub async fn wait_until_logs(&self, condition: impl Fn(&[ReceivedLog]) -> bool) -> Vec<ReceivedLog> {
        let mut kept = self.kept.0.subscribe();
        let met = timeout(TIMEOUT, kept.wait_for(|kept| condition(&kept.logs))).await;
        match met {
            Ok(kept) => kept.unwrap().logs.clone(),
            Err(_) => panic!("the expected logs didn't arrive within {TIMEOUT:?}; received:\n{:#?}", self.logs()),
        }
    }
}

/// Spans as an indented tree, one per line, for the output of a failed test.
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
