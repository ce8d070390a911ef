//! Contract suites: what every broker and every store does, each behaviour a named function over the seam's trait.
//!
//! An implementation needs a constructor alone. [`broker_contract!`](crate::broker_contract) and
//! [`store_contract!`](crate::store_contract) make one test a behaviour from it, so that a failure names the behaviour
//! and the implementation, such as `broker::nats::a_wrong_last_sequence_is_refused`:
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
//! The constructor makes a fresh and empty implementation for each test. A behaviour waits for conditions and knows no
//! real time, so a paused clock makes it quick in memory.

pub mod broker;
pub mod store;

/// One test a behaviour of [`contract::broker`](crate::contract::broker): the attribute of a test, then the path of an
/// async function without arguments that makes a connected broker whose ack wait is
/// [`ACK_WAIT`](crate::contract::broker::ACK_WAIT).
#[macro_export]
macro_rules! broker_contract {
    (#[$test:meta] $new:path) => {
        $crate::contract_tests! { #[$test] broker $new;
            a_new_stream_is_empty
            a_stream_is_created_once_and_keeps_its_messages
            a_stream_takes_on_added_subjects
            a_stream_that_does_not_exist_has_no_state_and_no_consumers
            a_deleted_stream_takes_its_messages_and_consumers_along
            a_stream_without_losses_has_no_missing_sequences
            frames_get_consecutive_sequences
            a_wrong_last_sequence_is_refused
            a_wrong_last_sequence_stores_none_of_several_frames
            a_stream_that_does_not_exist_is_not_published_to
            an_unknown_subject_is_refused
            a_frame_beyond_the_brokers_limit_is_refused
            a_probe_leaves_nothing_behind
            a_consumer_of_a_stream_that_does_not_exist_is_refused
            a_consumer_reads_from_the_first_message_on_and_in_order
            a_frame_arrives_as_it_was_published
            a_consumer_reads_its_own_subjects_alone
            a_consumer_takes_on_added_subjects
            no_more_frames_are_taken_than_asked_for
            nothing_comes_of_an_empty_stream
            two_durables_each_read_everything
            a_consumer_that_has_acked_everything_is_idle
            a_reader_learns_that_its_stream_is_gone
            deleted_consumers_begin_anew_at_the_first_message
            an_acked_frame_does_not_come_again
            a_frame_that_is_not_acked_comes_again
            a_frame_comes_again_after_its_nak
            a_nak_waits_for_its_delay
            progress_prolongs_the_ack_wait
            what_a_dead_consumer_held_goes_to_the_next_one
            two_readers_of_one_durable_share_its_frames
            a_ping_reaches_those_who_wait_for_its_subject
            a_connected_broker_is_up_and_flushes
        }
    };
}

/// One test a behaviour of [`contract::store`](crate::contract::store): the attribute of a test, then the path of an
/// async function without arguments that makes an empty store of the service
/// [`SERVICE`](crate::contract::store::SERVICE) whose parked messages wait at most a second for their second attempt.
#[macro_export]
macro_rules! store_contract {
    (#[$test:meta] $new:path) => {
        $crate::contract_tests! { #[$test] store $new;
            appended_events_are_read_in_order
            rows_are_read_after_the_cursor_and_up_to_the_limit
            a_row_holds_the_event_as_it_was_encoded
            what_is_rolled_back_is_not_appended
            what_is_dropped_is_not_appended
            a_row_above_a_running_transaction_is_not_settled
            an_event_larger_than_a_frame_may_be_is_refused
            the_backlog_counts_what_lies_after_the_cursor
            one_holder_has_the_lease_at_a_time
            a_lease_that_ran_out_is_taken_over
            a_lease_that_is_given_back_is_free_at_once
            a_holder_gets_its_own_lease_again_with_a_higher_epoch
            a_grant_tells_where_the_last_holder_stopped
            a_stale_epoch_moves_nothing
            checkpoints_above_a_loss_are_forgotten_and_stay_in_order
            the_cursor_counts_as_a_checkpoint
            what_is_known_of_the_stream_is_kept_under_the_lease
            an_id_is_claimed_once
            each_consumer_claims_for_itself
            a_claim_that_is_rolled_back_is_free_again
            a_rival_waits_for_a_claim_and_gets_what_is_left
            undo_goes_back_to_the_savepoint
            what_is_checked_stays
            a_kept_reply_is_appended_again_as_it_was
            the_first_reply_of_a_command_is_the_one_that_is_kept
            a_parked_message_is_due_after_its_wait
            a_message_is_parked_once
            a_dead_letter_is_counted_once_and_copied_to_the_outbox
            a_large_dead_letters_copy_is_cut_to_fit
            a_parked_message_is_due_for_its_consumer_alone
            a_due_message_is_given_to_one_transaction_at_a_time
            a_settled_message_is_gone
            a_failed_attempt_is_counted
            an_attempt_that_was_counted_meanwhile_counts_no_more
            a_message_that_is_given_up_is_a_dead_letter
        }
    };
}

/// The tests of a suite; [`broker_contract!`](crate::broker_contract) and
/// [`store_contract!`](crate::store_contract) use it.
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
    /// Names in the lists above; a name stands on a line of its own.
    fn listed(source: &str) -> Vec<&str> {
        let behaviours = source.lines().map(str::trim).skip_while(|line| !line.contains("$new;"));
        let behaviours = behaviours.skip(1).take_while(|line| *line != "}");
        behaviours.collect()
    }

    fn written(source: &str) -> Vec<&str> {
        source.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split(['<', '(']).next()).collect()
    }

    #[test]
    fn every_behaviour_is_on_the_list_of_its_suite() {
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
