//! Streams: created once, found again, deleted whole.

use flotilla_messaging::broker::Broker;
use flotilla_messaging::ranges::Ranges;

use super::{ADDED, OTHER, READER, STREAM, SUBJECT, config, create, message, messages, publish};

/// Its last sequence is zero, its first is one, and none is missing.
pub async fn a_new_stream_is_empty(broker: &impl Broker) {
    let state = create(broker).await;
    assert_eq!((state.mark.sequence, state.first, state.deleted), (0, 1, 0));
    assert_eq!(broker.stream_state(STREAM).await.unwrap(), Some(state));
}

/// A second creation returns the existing stream.
pub async fn a_stream_is_created_once_and_keeps_its_messages(broker: &impl Broker) {
    let new = create(broker).await;
    publish(broker, messages(&["a", "b"])).await;
    let found = create(broker).await;
    assert_eq!((found.mark.created, found.mark.sequence, found.first), (new.mark.created, 2, 1));
}

/// It accepts them from then on and keeps its messages.
pub async fn subjects_can_be_added_to_a_stream(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a"])).await;
    let state = broker.ensure_stream(&config(&[SUBJECT, OTHER, ADDED])).await.unwrap();
    assert_eq!(state.mark.sequence, 1);
    assert_eq!(publish(broker, vec![message(ADDED, "b")]).await, [2]);
}

/// Deleting it and its consumers is no error.
pub async fn a_stream_that_does_not_exist_has_no_state_and_no_consumers(broker: &impl Broker) {
    assert_eq!(broker.stream_state(STREAM).await.unwrap(), None);
    assert_eq!(broker.consumers(STREAM).await.unwrap(), []);
    broker.delete_consumers(STREAM).await.unwrap();
    broker.delete_stream(STREAM).await.unwrap();
}

/// The next stream of that name is a new one with a later creation time.
pub async fn deleting_a_stream_deletes_its_messages_and_consumers(broker: &impl Broker) {
    let old = create(broker).await;
    publish(broker, messages(&["a"])).await;
    drop(broker.subscribe(&READER).await.unwrap());
    broker.delete_stream(STREAM).await.unwrap();
    assert_eq!(broker.stream_state(STREAM).await.unwrap(), None);
    let new = create(broker).await;
    assert_eq!((new.mark.sequence, new.first), (0, 1));
    assert!(new.mark.created > old.mark.created, "{new:?} after {old:?}");
    assert_eq!(broker.consumers(STREAM).await.unwrap(), []);
}

/// For a stream that doesn't exist, the query fails.
pub async fn a_stream_without_losses_has_no_missing_sequences(broker: &impl Broker) {
    assert!(broker.deleted(STREAM).await.is_err());
    create(broker).await;
    assert_eq!(broker.deleted(STREAM).await.unwrap(), Ranges::default());
    publish(broker, messages(&["a", "b"])).await;
    assert_eq!(broker.deleted(STREAM).await.unwrap(), Ranges::default());
}
