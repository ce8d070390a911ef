//! The settings of a service's messaging: broker, relay, consumers, parked messages, retention.

use std::{fmt, time::Duration};

use flotilla_config::{ByteSize, HumanDuration, Problems, Setting, Shown, Validate};
use flotilla_postgres::PostgresSettings;

/// The broker and everything that runs between it and the database.
#[derive(Clone, Setting)]
#[setting(default)]
pub struct NatsSettings {
    /// Address of the server, with the service's name and password if it requires them, such as
    /// `nats://127.0.0.1:4222`.
    #[setting(alias = "NATS_URL")]
    pub url: String,
    /// Maximum wait for a connection.
    pub connect_timeout: HumanDuration,
    /// Maximum wait for a response of the JetStream API and for the acks of a batch. Must be below half of the relay's
    /// lease, so that no relay publishes after its lease has expired.
    pub request_timeout: HumanDuration,
    /// How long a stream keeps its messages. At least as long as `retention.outbox`.
    pub stream_max_age: HumanDuration,
    /// Number of replicas of each stream in a JetStream cluster.
    pub stream_replicas: usize,
    /// How long the server waits for an ack before it redelivers.
    pub ack_wait: HumanDuration,
    /// Maximum number of delivered but unacked messages per consumer; beyond it the server pauses delivery.
    pub max_ack_pending: i64,
    /// Number of messages, of one or more frames each, fetched ahead of a consumer's transaction.
    pub prefetch_frames: usize,
    /// Maximum size of an event in the outbox; the server's `max_payload` must be larger.
    pub max_event_bytes: ByteSize,
    /// The relay.
    pub relay: RelaySettings,
    /// Retries of parked messages.
    pub parked: ParkedSettings,
    /// How long tables keep their rows.
    pub retention: RetentionSettings,
}

/// The relay's pace.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct RelaySettings {
    /// Duration of a lease unless it is renewed.
    pub lease: HumanDuration,
    /// Pause after a read of the outbox that returned 16 events or more, so that messages fill under load; after a smaller
    /// read, the next commit is read at once.
    pub gather: HumanDuration,
    /// Pause between reads of the outbox that no commit has triggered.
    pub poll: HumanDuration,
    /// Maximum number of frames per read.
    pub batch: usize,
    /// How often the stream is compared with its recorded state.
    pub check: HumanDuration,
    /// How often a cursor move is also stored as a checkpoint to republish from.
    pub checkpoint: HumanDuration,
}

/// Retries of parked messages.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct ParkedSettings {
    /// How often parked messages are checked for due retries.
    pub poll: HumanDuration,
    /// Pause before the second attempt; doubles with each further one.
    pub backoff: HumanDuration,
    /// Number of attempts, including the first delivery, before a message becomes a dead letter.
    pub max_attempts: i32,
}

/// How long tables keep their rows.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct RetentionSettings {
    /// How long published outbox rows are kept. At most `stream_max_age`.
    pub outbox: HumanDuration,
    /// How often partitions are created in advance and dropped.
    pub interval: HumanDuration,
}

/// The address without a password.
impl fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Shown::plain("url", &self.url).value;
        f.debug_struct("NatsSettings").field("url", &url).field("relay", &self.relay).finish_non_exhaustive()
    }
}

/// The period of one outbox partition.
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl NatsSettings {
    /// How far back the inbox remembers: the longest time that a message can be in transit (it may be republished as
    /// long as the outbox has it, and the outbox drops whole days), and an hour for clock differences.
    pub fn inbox_retention(&self) -> Duration {
        let kept = self.retention.outbox.0.saturating_add(DAY).saturating_add(self.stream_max_age.0);
        kept.saturating_add(Duration::from_secs(3_600))
    }
}

impl NatsSettings {
    /// Checks settings of this section against those of the database; the problems name settings by their full path.
    pub fn check_database(&self, postgres: &PostgresSettings, problems: &mut Problems) {
        problems.require(
            self.ack_wait.0 > postgres.statement_timeout.get(),
            "nats.ack_wait",
            "must be longer than postgres.statement_timeout, or messages are delivered again while they are applied",
        );
    }

    /// Zero waits would make loops spin; very long ones would detect problems too late.
    fn check_waits(&self, problems: &mut Problems) {
        let (lease, hour) = (self.relay.lease.0, Duration::from_secs(3_600));
        for (name, wait, longest) in [
            ("connect_timeout", self.connect_timeout.0, Duration::from_secs(60)),
            ("relay.lease", lease, Duration::from_secs(300)),
            ("relay.check", self.relay.check.0, Duration::from_secs(60)),
            ("relay.poll", self.relay.poll.0, Duration::from_secs(60)),
            ("relay.checkpoint", self.relay.checkpoint.0, Duration::from_secs(60)),
            ("parked.poll", self.parked.poll.0, hour),
            ("parked.backoff", self.parked.backoff.0, hour),
            ("retention.interval", self.retention.interval.0, hour),
        ] {
            let fits = !wait.is_zero() && wait <= longest;
            problems.require(fits, name, format!("must be above zero and at most {}", HumanDuration(longest)));
        }
        let least = ByteSize::kib(64);
        problems.require(
            self.max_event_bytes >= least,
            "max_event_bytes",
            "must be at least 64KiB, as large as a frame",
        );
        problems.require(self.relay.gather.0 <= lease, "relay.gather", "must be at most relay.lease");
        problems.require(
            (Duration::from_secs(1)..=hour).contains(&self.ack_wait.0),
            "ack_wait",
            "must be from 1s to 1h: messages of a consumer that died wait for so long",
        );
    }
}

impl Validate for NatsSettings {
    fn validate(&self, problems: &mut Problems) {
        self.check_waits(problems);
        problems.require(!self.url.is_empty(), "url", "must be set");
        problems.require(
            self.request_timeout.0 * 2 <= self.relay.lease.0,
            "request_timeout",
            "must be at most half of relay.lease",
        );
        problems.require(!self.request_timeout.0.is_zero(), "request_timeout", "must be above zero");
        problems.require(
            self.stream_max_age.0 >= self.retention.outbox.0,
            "stream_max_age",
            "must be at least retention.outbox: a stream keeps its messages at least as long as the outbox",
        );
        problems.require(
            self.retention.outbox.0 >= self.relay.check.0 * 10,
            "retention.outbox",
            "must be at least ten times relay.check, or a loss would be found when its messages are gone",
        );
        problems.require(self.max_ack_pending >= 1, "max_ack_pending", "must be at least 1");
        problems.require(self.prefetch_frames >= 1, "prefetch_frames", "must be at least 1");
        problems.require((1..=5).contains(&self.stream_replicas), "stream_replicas", "must be from 1 to 5");
        problems.require(self.relay.batch >= 1, "relay.batch", "must be at least 1");
        problems.require(self.parked.max_attempts >= 1, "parked.max_attempts", "must be at least 1");
    }
}

// These sections limit each other's settings, so the enclosing section checks them.
impl Validate for RelaySettings {}
impl Validate for ParkedSettings {}
impl Validate for RetentionSettings {}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            connect_timeout: seconds(2),
            request_timeout: seconds(2),
            stream_max_age: seconds(48 * 3_600),
            stream_replicas: 1,
            ack_wait: seconds(15),
            max_ack_pending: 4_096,
            prefetch_frames: 64,
            max_event_bytes: ByteSize(1_000_000),
            relay: RelaySettings::default(),
            parked: ParkedSettings::default(),
            retention: RetentionSettings::default(),
        }
    }
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            lease: seconds(5),
            gather: millis(20),
            poll: millis(200),
            batch: 1_024,
            check: seconds(2),
            checkpoint: millis(100),
        }
    }
}

impl Default for ParkedSettings {
    fn default() -> Self {
        Self { poll: seconds(1), backoff: seconds(1), max_attempts: 8 }
    }
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { outbox: seconds(48 * 3_600), interval: seconds(300) }
    }
}

fn seconds(n: u64) -> HumanDuration {
    HumanDuration(Duration::from_secs(n))
}

fn millis(n: u64) -> HumanDuration {
    HumanDuration(Duration::from_millis(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_address_is_not_shown() {
        let settings = NatsSettings { url: "nats://orders:geheim@nats:4222".to_owned(), ..NatsSettings::default() };
        let shown = format!("{settings:?}");
        assert!(shown.contains("nats://orders:****@nats:4222") && !shown.contains("geheim"), "{shown}");
    }

    fn problems(stream: u64, outbox: u64) -> Vec<String> {
        let retention = RetentionSettings { outbox: seconds(outbox), ..RetentionSettings::default() };
        let settings = NatsSettings { stream_max_age: seconds(stream), retention, ..NatsSettings::default() };
        let mut problems = Problems::default();
        settings.validate(&mut problems);
        problems.found().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_stream_that_forgets_before_the_outbox_does_is_refused() {
        let found = problems(3_599, 3_600);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("stream_max_age") && found[0].contains("retention.outbox"), "{found:?}");
        assert!(problems(3_600, 3_600).is_empty());
        let usual = NatsSettings::default();
        assert!(problems(usual.stream_max_age.0.as_secs(), usual.retention.outbox.0.as_secs()).is_empty());
        assert!(!problems(3_600, 0).is_empty());
    }

    #[test]
    fn an_inbox_remembers_longer_than_a_message_can_be_on_its_way() {
        let usual = NatsSettings::default();
        // A row may be republished until it is as old as the outbox's retention and the rest of its day.
        let longest = usual.retention.outbox.0 + DAY + usual.stream_max_age.0;
        assert!(usual.inbox_retention() > longest);
    }
}
