//! Given timers that were fired, when the view is looked at again, then those that are settled are forgotten.

use wharf_domain::kernel::IntegrationId;

use super::*;

fn timer(set_by: u64, due: i64) -> Timer {
    Timer {
        due: Timestamp::constant(due, 0),
        project: "p".parse().unwrap_or_else(|_| unreachable!("it is an id")),
        subject: Subject::SyncDue {
            integration: IntegrationId(uuid::Uuid::nil()),
        },
        set_by: (Position(set_by), 0),
    }
}

fn fired(timers: &[Timer]) -> Fired {
    let mut fired = Fired::default();
    timers.iter().for_each(|timer| fired.add(timer));
    fired
}

fn keys(fired: &Fired) -> Vec<u64> {
    let mut keys: Vec<_> = fired.0.keys().map(|(position, _)| position.0).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn what_the_view_does_not_show_any_more_is_settled() {
    let mut fired = fired(&[timer(1, 10), timer(2, 20), timer(3, 30)]);
    fired.settle(&[timer(2, 20), timer(9, 40)], true);
    assert_eq!(keys(&fired), [2]);
}

#[test]
fn what_may_lie_behind_the_last_one_that_was_read_is_not() {
    let mut fired = fired(&[timer(1, 10), timer(2, 20), timer(3, 30)]);
    fired.settle(&[timer(8, 5), timer(9, 20)], false);
    assert_eq!(
        keys(&fired),
        [2, 3],
        "only what was due before is seen to be gone"
    );
    fired.settle(&[], true);
    assert_eq!(keys(&fired), [0; 0]);
}
