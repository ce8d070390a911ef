//! What a log line costs: `tracing`, `slog` and `log` (with `fern`), each writing the same event as structured fields to
//! nowhere, on one thread. And what `scrub` adds to a line. `scripts/test/bench-logging.sh` runs it.

use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use slog::Drain as _;
use tracing_subscriber::prelude::*;

const ROUNDS: u32 = 20_000;
/// The fastest of so many runs counts: the others were disturbed.
const RUNS: usize = 100;

/// Takes all and keeps nothing. Not `io::sink`, which doesn't even have formatted what it is to write.
struct Nowhere;

/// What it took: shows that a line was written at all.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

impl io::Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() {
    println!("| what | bytes | ns | lines/s |\n|---|---:|---:|---:|");
    tracing_lines();
    slog_lines();
    log_lines();
    scrub_lines();
}

fn measure(what: &str, mut event: impl FnMut(u32)) {
    let run = |event: &mut dyn FnMut(u32)| {
        let began = Instant::now();
        for number in 0..ROUNDS {
            event(black_box(number));
        }
        began.elapsed()
    };
    WRITTEN.store(0, Ordering::Relaxed);
    let best = (0..RUNS).map(|_| run(&mut event)).min().unwrap_or(Duration::MAX);
    let ns = best.as_secs_f64() * 1e9 / f64::from(ROUNDS);
    let bytes = WRITTEN.load(Ordering::Relaxed) / (u64::from(ROUNDS) * RUNS as u64);
    println!("| {what} | {bytes} | {ns:.1} | {:.0} |", 1e9 / ns);
}

const ORDER: &str = "018f3c2a-1b2c-7d3e-8f40-123456789012";

fn tracing_lines() {
    let info = || tracing_subscriber::filter::LevelFilter::INFO;
    let json =
        || tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(|| Nowhere);
    let subscriber = tracing_subscriber::registry().with(json().with_filter(info()));
    tracing::subscriber::with_default(subscriber, || {
        measure("tracing, JSON, event that is off", |number| tracing::debug!(number, order = ORDER, "order confirmed"));
        measure("tracing, JSON, event with 4 fields", |number| {
            tracing::info!(number, order = ORDER, state = "confirmed", took_us = 1834_u64, "order confirmed");
        });
        let call = tracing::info_span!("rpc", method = "PlaceOrder", request_id = ORDER);
        let _in = call.enter();
        measure("tracing, JSON, the same within a span of 2 fields", |number| {
            tracing::info!(number, order = ORDER, state = "confirmed", took_us = 1834_u64, "order confirmed");
        });
    });
    let compact = tracing_subscriber::fmt::layer().compact().with_ansi(false).with_writer(|| Nowhere);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(compact.with_filter(info())), || {
        measure("tracing, text, event with 4 fields", |number| {
            tracing::info!(number, order = ORDER, state = "confirmed", took_us = 1834_u64, "order confirmed");
        });
    });
}

fn slog_lines() {
    let drain = std::sync::Mutex::new(slog_json::Json::default(Nowhere)).map(slog::Fuse);
    let logger = slog::Logger::root(slog::LevelFilter::new(drain, slog::Level::Info).fuse(), slog::o!());
    measure("slog, JSON, event that is off", |number| {
        slog::debug!(logger, "order confirmed"; "number" => number, "order" => ORDER);
    });
    let event = |logger: &slog::Logger, number: u32| {
        slog::info!(logger, "order confirmed";
            "number" => number, "order" => ORDER, "state" => "confirmed", "took_us" => 1834_u64);
    };
    measure("slog, JSON, event with 4 fields", |number| event(&logger, number));
    let call = logger.new(slog::o!("method" => "PlaceOrder", "request_id" => ORDER));
    measure("slog, JSON, the same with 2 fields of its logger", |number| event(&call, number));
}

fn log_lines() {
    use log::kv::{Key, Value, VisitSource};

    struct Fields<'a, 'b>(&'a mut std::fmt::Formatter<'b>);
    impl<'kvs> VisitSource<'kvs> for Fields<'_, '_> {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
            write!(self.0, " {key}={value}").map_err(Into::into)
        }
    }
    struct Pairs<'a>(&'a log::Record<'a>);
    impl std::fmt::Display for Pairs<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.key_values().visit(&mut Fields(f)).map_err(|_| std::fmt::Error)
        }
    }
    let sink: Box<dyn io::Write + Send> = Box::new(Nowhere);
    let format = |out: fern::FormatCallback<'_>, message: &std::fmt::Arguments<'_>, record: &log::Record<'_>| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let (level, target) = (record.level(), record.target());
        out.finish(format_args!(
            "{}.{:06} {level} {target}: {message}{}",
            now.as_secs(),
            now.subsec_micros(),
            Pairs(record)
        ));
    };
    fern::Dispatch::new().level(log::LevelFilter::Info).format(format).chain(sink).apply().expect("the only logger");
    measure("log and fern, text, event that is off", |number| {
        log::debug!(number, order = ORDER; "order confirmed");
    });
    measure("log and fern, text, event with 4 fields", |number| {
        log::info!(number, order = ORDER, state = "confirmed", took_us = 1834_u64; "order confirmed");
    });
}

fn scrub_lines() {
    let json = r#"{"timestamp":"2026-11-23T03:19:15.123456Z","level":"INFO","message":"order confirmed","order_id":"018f3c2a-1b2c-7d3e-8f40-123456789012","took_us":1834,"target":"flotilla_orders::saga","span":{"method":"flotilla.orders.v1.OrderService/PlaceOrder","request_id":"018f3c2a-1b2c-7d3e-8f40-123456789012","name":"rpc"}}"#;
    let text = "2026-11-23T03:19:15.123456Z  INFO rpc: flotilla_orders::saga: order confirmed order_id=018f3c2a-1b2c-7d3e-8f40-123456789012 took_us=1834";
    let address = r#"{"timestamp":"2026-11-23T03:19:15.123456Z","level":"INFO","message":"mail sent","to":"ann@example.com","took_us":1834,"target":"flotilla_notification::mail"}"#;
    let scrub = |line: &'static str| move |_| drop(black_box(flotilla_redact::scrub(black_box(line))));
    measure(&format!("scrub, clean JSON line of {} bytes", json.len()), scrub(json));
    measure(&format!("scrub, clean text line of {} bytes", text.len()), scrub(text));
    measure(&format!("scrub, JSON line of {} bytes with an address", address.len()), scrub(address));
}
