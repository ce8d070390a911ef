//! Contract suites of brokers and stores. Each behaviour that all implementations share is a named function over their
//! trait.
//!
//! An implementation needs only a constructor. [`broker_contract!`](crate::broker_contract) and
//! [`store_contract!`](crate::store_contract) generate one test for each behaviour from it, so that a failure names the
//! behaviour and the implementation, such as `broker::nats::a_wrong_last_sequence_is_refused`:
//!
//! ```ignore
//! mod memory {
//!     async fn new() -> MemoryBroker {
//!         MemoryBroker::new(ACK_WAIT)
//!     }
//!     flotilla_testkit::broker_contract!(#[tokio::test(start_paused = true)] new);
//! }
//! ```
//!
//! The constructor creates a new, empty implementation for each test. Behaviours wait for conditions in tokio's time, so
//! a paused clock makes them fast in memory.

pub mod broker;
pub mod store;

/// Generates one test for each behaviour of [`contract::broker`](crate::contract::broker). Takes the test attribute and
/// the path of an async function without arguments that returns a connected broker with the ack wait
/// [`ACK_WAIT`](crate::contract::broker::ACK_WAIT).
#[macro_export]
macro_rules! broker_contract {
    (#[$test:meta] $new:path) => {
        $crate::contract_tests! { #[$test] broker $new;
            a_new_stream_is_empty
            a_stream_is_created_once_and_keeps_its_messages
            subjects_can_be_added_to_a_stream
            a_stream_that_does_not_exist_has_no_state_and_no_consumers
            deleting_a_stream_deletes_its_messages_and_consumers
            a_stream_without_losses_has_no_missing_sequences
            messages_get_consecutive_sequences
            a_wrong_last_sequence_is_refused
            a_wrong_last_sequence_stores_none_of_several_messages
            publishing_to_a_stream_that_does_not_exist_is_refused
            an_unknown_subject_is_refused
            a_message_beyond_the_brokers_limit_is_refused
            a_probe_leaves_nothing_behind
            a_consumer_of_a_stream_that_does_not_exist_is_refused
            a_consumer_reads_all_messages_in_order
            a_message_arrives_as_it_was_published
            a_consumer_reads_only_its_own_subjects
            subjects_can_be_added_to_a_consumer
            a_read_returns_at_most_the_requested_number_of_messages
            a_read_of_an_empty_stream_returns_nothing
            two_durable_consumers_each_read_everything
            a_consumer_that_has_acked_everything_is_idle
            a_read_fails_after_its_stream_was_deleted
            a_recreated_consumer_starts_at_the_first_message
            an_acked_message_is_not_redelivered
            an_unacked_message_is_redelivered
            a_message_is_redelivered_after_a_nak
            a_nak_delays_the_redelivery
            progress_extends_the_ack_wait
            unacked_messages_of_a_dead_consumer_are_redelivered_to_the_next_one
            two_readers_of_one_durable_consumer_share_its_messages
            a_ping_reaches_all_receivers_of_its_subject
            a_connected_broker_is_up_and_flushes
        }
    };
}

/// Generates one test for each behaviour of [`contract::store`](crate::contract::store). Takes the test attribute and the
/// path of an async function without arguments that returns an empty store of the service
/// [`SERVICE`](crate::contract::store::SERVICE) whose parked messages wait at most a second for their second attempt.
#[macro_export]
macro_rules! store_contract {
    (#[$test:meta] $new:path) => {
        $crate::contract_tests! { #[$test] store $new;
            the_events_of_a_transaction_and_subject_share_a_frame
            events_beyond_a_full_frame_start_another
            frames_are_read_after_the_cursor_and_up_to_the_limit
            a_read_ends_with_the_frame_that_reaches_the_byte_limit
            a_frame_contains_the_encoded_event
            a_rolled_back_transaction_appends_nothing
            a_dropped_transaction_appends_nothing
            a_row_above_a_running_transaction_is_not_settled
            an_event_too_large_for_a_frame_is_refused
            the_backlog_counts_the_rows_after_the_cursor
            one_holder_has_the_lease_at_a_time
            an_expired_lease_is_taken_over
            a_released_lease_is_free_at_once
            a_holder_reacquires_its_own_lease_with_a_higher_epoch
            a_grant_has_the_position_of_the_last_holder
            a_stale_epoch_changes_nothing
            checkpoints_above_a_loss_are_forgotten_and_stay_in_order
            the_cursor_counts_as_a_checkpoint
            the_stream_record_is_written_under_the_lease_only
            an_id_is_claimed_once
            each_consumer_claims_for_itself
            a_rolled_back_claim_can_be_repeated
            a_concurrent_claim_waits_and_gets_the_rest
            undo_rolls_back_to_the_savepoint
            only_a_committed_append_wakes_the_relay
            checked_writes_survive_a_later_undo
            a_parked_message_is_due_after_its_wait
            a_message_is_parked_once
            a_dead_letter_is_counted_once_and_copied_to_the_outbox
            the_copy_of_a_large_dead_letter_is_truncated
            a_parked_message_is_due_only_for_its_consumer
            a_due_message_is_given_to_one_transaction_at_a_time
            a_settled_message_is_removed
            a_failed_attempt_is_counted
            an_attempt_is_counted_once
            a_buried_message_is_a_dead_letter
        }
    };
}

/// Generates the tests of a suite, for [`broker_contract!`](crate::broker_contract) and
/// [`store_contract!`](crate::store_contract).
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    (#[$test:meta] $suite:ident $new:path; $($behaviour:ident)+) => {
        $crate::contract_tests! { @each (#[$test]) $suite ($new) $($behaviour)+ }
    };
    (@each $test:tt $suite:ident $new:tt $($behaviour:ident)+) => {
        $($crate::contract_tests! { @one $test $suite $new $behaviour })+
    };
    (@one (#[$test:meta]) $suite:ident ($new:path) $behaviour:ident) => {
        #[$test]
        async fn $behaviour() {
            $crate::contract::$suite::$behaviour(&$new().await).await;
        }
    };
}

#[cfg(test)]
mod tests {
    /// The names in a list above; each is on a line of its own.
    fn listed(source: &str) -> Vec<&str> {
        let behaviours = source.lines().map(str::trim).skip_while(|line| !line.contains("$new;"));
        let behaviours = behaviours.skip(1).take_while(|line| *line != "}");
        behaviours.collect()
    }

    fn written(source: &str) -> Vec<&str> {
        source.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split(['<', '(']).next()).collect()
    }

    #[test]
    fn every_behaviour_is_listed_in_its_suite() {
        let lists = include_str!("mod.rs");
        let (brokers, stores) = lists.split_once("macro_rules! store_contract").unwrap();
        let sources = [
            include_str!("broker/streams.rs"),
            include_str!("broker/publishing.rs"),
            include_str!("broker/consuming.rs"),
            include_str!("broker/redelivery.rs"),
            include_str!("broker/connection.rs"),
        ];
        assert_eq!(listed(brokers), sources.iter().flat_map(|source| written(source)).collect::<Vec<_>>());
        let stores = listed(stores);
        let sources = [
            include_str!("store/outbox.rs"),
            include_str!("store/lease.rs"),
            include_str!("store/inbox.rs"),
            include_str!("store/parked.rs"),
        ];
        assert_eq!(stores, sources.iter().flat_map(|source| written(source)).collect::<Vec<_>>());
    }
}
