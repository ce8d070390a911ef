//! The state and removal of streams and durable consumers.

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream;
use futures::TryStreamExt;

use super::{NatsBroker, unavailable};
use crate::broker::{ConsumerState, StreamState};
use crate::error::BrokerError;
use crate::ranges::Ranges;
use crate::store::StreamMark;

fn nanoseconds(moment: time::OffsetDateTime) -> i64 {
    i64::try_from(moment.unix_timestamp_nanos()).unwrap_or_default()
}

pub(super) fn state(info: &stream::Info) -> StreamState {
    StreamState {
        mark: StreamMark { created: nanoseconds(info.created), sequence: info.state.last_sequence },
        // The server reports the next sequence for an empty stream, and zero for a new one.
        first: info.state.first_sequence.max(1),
        deleted: info.state.deleted_count.unwrap_or_default(),
    }
}

fn consumer_state(info: async_nats::jetstream::consumer::Info) -> Option<ConsumerState> {
    info.config.durable_name.as_ref()?;
    Some(ConsumerState {
        name: info.name,
        created: nanoseconds(info.created),
        floor: info.ack_floor.stream_sequence,
        idle: info.num_pending == 0 && info.num_ack_pending == 0,
    })
}

impl NatsBroker {
    pub(super) async fn list_deleted(&self, stream: &str) -> Result<Ranges, BrokerError> {
        self.usable()?;
        let list = async {
            let handle = self.shared.jetstream.get_stream_no_info(stream).await.map_err(unavailable)?;
            let info = handle.info_builder().with_deleted(true).fetch().await.map_err(unavailable)?;
            let mut deleted = info.info.state.deleted.unwrap_or_default();
            // The server lists sequence zero for a stream that never held a message.
            deleted.retain(|sequence| *sequence > 0);
            deleted.sort_unstable();
            Ok(Ranges::from_sorted(deleted))
        };
        self.within("list of deleted messages", list).await?
    }

    pub(super) async fn list_consumers(&self, stream: &str) -> Result<Vec<ConsumerState>, BrokerError> {
        self.usable()?;
        let list = async {
            let handle = self.shared.jetstream.get_stream_no_info(stream).await.map_err(unavailable)?;
            match handle.consumers().try_collect::<Vec<_>>().await {
                Ok(consumers) => Ok(consumers.into_iter().filter_map(consumer_state).collect()),
                // A stream that doesn't exist has no consumers.
                Err(_) if self.info(stream).await?.is_none() => Ok(Vec::new()),
                Err(error) => Err(unavailable(error)),
            }
        };
        self.within("list of consumers", list).await?
    }

    pub(super) async fn remove_stream(&self, stream: &str) -> Result<(), BrokerError> {
        self.usable()?;
        match self.within("stream deletion", self.shared.jetstream.delete_stream(stream)).await? {
            Ok(_) => Ok(()),
            Err(_) if self.info(stream).await?.is_none() => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    pub(super) async fn try_to_store(&self, subject: &str, bytes: usize) -> Result<(), BrokerError> {
        self.usable()?;
        let name = subject.replace('.', "-");
        let config = stream::Config {
            name: name.clone(),
            subjects: vec![subject.to_owned()],
            storage: stream::StorageType::File,
            num_replicas: self.shared.settings.stream_replicas,
            ..stream::Config::default()
        };
        let store = async {
            self.shared.jetstream.create_stream(config).await.map_err(unavailable)?;
            let message = PublishMessage::build().payload(vec![0_u8; bytes].into());
            let ack = self.shared.jetstream.send_publish(subject.to_owned(), message).await.map_err(unavailable)?;
            ack.await.map(drop).map_err(unavailable)
        };
        let stored = self.within("probe", store).await;
        // The temporary stream is removed whatever the result was.
        let removed = self.remove_stream(&name).await;
        stored??;
        removed
    }

    pub(super) async fn remove_consumers(&self, stream: &str) -> Result<(), BrokerError> {
        self.usable()?;
        let delete = async {
            let handle = self.shared.jetstream.get_stream_no_info(stream).await.map_err(unavailable)?;
            let names: Vec<String> = match handle.consumer_names().try_collect().await {
                Ok(names) => names,
                // A stream that doesn't exist has no consumers.
                Err(_) if self.info(stream).await?.is_none() => return Ok(()),
                Err(error) => return Err(unavailable(error)),
            };
            for name in names {
                handle.delete_consumer(&name).await.map_err(unavailable)?;
            }
            Ok(())
        };
        self.within("deletion of consumers", delete).await?
    }
}
