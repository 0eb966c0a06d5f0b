//! What every event log promises, whichever it is: one suite, run on each.
//!
//! A case is an `async fn` of `cases`: it gets an empty log and asserts one sentence of the port's
//! documentation. To hold another implementation to it, add a constructor to [`Harness`] and a line
//! to [`on_every_log`]. What only the file has (locks, triggers, flipped bits) is in `file`,
//! what only servers have (lost answers, lost leaders, other nodes) in `servers`.

mod appends;
mod consumers;
mod file;
mod harness;
mod reads;
mod servers;

use harness::Harness;

/// The longest that a case may take before it counts as hanging.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Makes a test of every case for every log.
macro_rules! on_every_log {
    ($($file:ident: $($case:ident)+;)+) => {
        on_every_log!(@ memory = Harness::memory() => $($($file::$case)+)+);
        on_every_log!(@ sqlite = Harness::sqlite() => $($($file::$case)+)+);
        on_every_log!(@ jetstream = Harness::jetstream().await => $($($file::$case)+)+);
    };
    (@ $log:ident = $harness:expr => $($file:ident::$case:ident)+) => {
        mod $log {
            use super::{Harness, PATIENCE};

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let case = async { super::$file::$case($harness).await };
                    tokio::time::timeout(PATIENCE, case).await.expect("it ends");
                }
            )+
        }
    };
}

on_every_log! {
    appends:
        a_commit_of_many_events_is_stored_whole
        a_stream_begins_only_once
        a_stale_expectation_is_a_conflict
        a_stream_that_is_not_there_is_a_conflict
        the_same_commit_again_is_the_first_one
        a_repeat_in_a_journal_is_the_first_one
        an_id_that_another_stream_used_is_a_repeat
        of_two_writers_that_expect_the_same_one_wins
        many_writers_of_one_journal_leave_no_holes
        a_commit_that_does_not_continue_the_chain_is_refused
        what_is_too_large_is_refused_before_anything_is_written
        an_expectation_of_the_wrong_kind_is_refused
        hashes_chain_along_a_decision_stream
        what_is_appended_verifies;
    reads:
        a_stream_is_read_in_order_and_by_pages
        all_is_read_in_order_and_by_pages
        a_read_stops_after_a_few_mebibytes
        beyond_the_tail_there_is_nothing
        the_tail_is_never_behind_an_answered_append
        a_commit_is_found_by_its_id
        a_stream_ends_at_its_last_commit
        following_waits_at_the_tail
        following_neither_misses_nor_repeats_across_a_restart
        everything_is_there_after_a_restart;
    consumers:
        a_consumer_gets_its_categories_in_order
        what_is_acknowledged_does_not_come_again
        what_is_not_acknowledged_comes_again
        acknowledged_out_of_order_the_floor_waits
        given_back_it_comes_again_after_its_delay
        given_back_it_keeps_its_place_in_flight
        a_consumer_from_now_skips_the_past
        a_consumer_from_now_stays_where_it_began
        a_full_consumer_waits_for_acknowledgements
        the_floor_passes_what_is_none_of_its_business
        what_an_earlier_opener_may_have_had_is_told_apart
        nothing_is_left_once_all_is_acknowledged
        consumers_do_not_disturb_each_other
        a_dropped_fetch_loses_nothing
        fetching_waits_for_the_next_commit;
}
