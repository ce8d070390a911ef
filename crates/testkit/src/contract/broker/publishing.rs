//! Publishing: at the expected last sequence or not at all.

use flotilla_messaging::BrokerError;
use flotilla_messaging::broker::Broker;

use super::{STREAM, create, message, messages, publish};

/// More than any broker accepts in one message.
const TOO_LARGE: usize = 16 * 1_024 * 1_024;

/// The response has the sequence of each message.
pub async fn messages_get_consecutive_sequences(broker: &impl Broker) {
    create(broker).await;
    assert_eq!(broker.publish(STREAM, 0, messages(&["a", "b", "c"])).await.unwrap(), [1, 2, 3]);
    assert_eq!(broker.publish(STREAM, 3, messages(&["d"])).await.unwrap(), [4]);
    assert_eq!(broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence, 4);
}

/// One that is too high, as after the loss of a tail, and one that is too low, as after a foreign writer.
pub async fn a_wrong_last_sequence_is_refused(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a", "b"])).await;
    for wrong in [1, 3, 9] {
        let refused = broker.publish(STREAM, wrong, messages(&["c"])).await;
        assert!(matches!(refused, Err(BrokerError::WrongLastSequence(_))), "{wrong}: {refused:?}");
    }
    assert_eq!(broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence, 2);
    assert_eq!(broker.publish(STREAM, 2, messages(&["c"])).await.unwrap(), [3]);
}

/// A stream that lost its tail accepts none of the messages.
pub async fn a_wrong_last_sequence_stores_none_of_several_messages(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a"])).await;
    let refused = broker.publish(STREAM, 5, messages(&["b", "c", "d"])).await;
    assert!(matches!(refused, Err(BrokerError::WrongLastSequence(_))), "{refused:?}");
    assert_eq!(broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence, 1);
}

/// With the error that makes the relay create the stream.
pub async fn publishing_to_a_stream_that_does_not_exist_is_refused(broker: &impl Broker) {
    let refused = broker.publish(STREAM, 0, messages(&["a"])).await;
    assert!(matches!(refused, Err(BrokerError::NoStream(_))), "{refused:?}");
}

/// No stream has the subject.
pub async fn an_unknown_subject_is_refused(broker: &impl Broker) {
    create(broker).await;
    let refused = broker.publish(STREAM, 0, vec![message("elsewhere.events", "a")]).await;
    assert!(matches!(refused, Err(BrokerError::NoStream(_))), "{refused:?}");
    assert_eq!(broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence, 0);
}

/// With a permanent error, because a retry would fail too.
pub async fn a_message_beyond_the_brokers_limit_is_refused(broker: &impl Broker) {
    create(broker).await;
    let refused = broker.publish(STREAM, 0, messages(&[&"x".repeat(TOO_LARGE)])).await;
    assert!(matches!(refused, Err(BrokerError::Refused(_))), "{refused:?}");
    assert_eq!(broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence, 0);
}

/// It writes to a stream of its own, which it deletes.
pub async fn a_probe_leaves_nothing_behind(broker: &impl Broker) {
    let before = create(broker).await;
    for _ in 0..2 {
        broker.probe("contract.probe", 1_024).await.unwrap();
    }
    assert_eq!(broker.stream_state(STREAM).await.unwrap(), Some(before));
    let refused = broker.publish(STREAM, 0, vec![message("contract.probe", "a")]).await;
    assert!(matches!(refused, Err(BrokerError::NoStream(_))), "{refused:?}");
}
