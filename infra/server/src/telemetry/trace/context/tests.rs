//! What the standard's examples say, and what a correlation becomes.

use super::*;

const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_traceparent_is_read_and_written() {
    let context = TraceContext::parse(EXAMPLE).unwrap();
    assert!(context.sampled);
    assert_eq!(context.to_string(), EXAMPLE);
    let unsampled = EXAMPLE.replace("-01", "-00");
    assert!(!TraceContext::parse(&unsampled).unwrap().sampled);
    // Flags and versions of the future.
    assert!(
        TraceContext::parse(&EXAMPLE.replace("-01", "-ff"))
            .unwrap()
            .sampled
    );
    assert!(TraceContext::parse(&format!("cc{}-what", &EXAMPLE[2..])).is_some());
}

#[test]
fn what_is_no_traceparent_is_none() {
    for header in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
    ] {
        assert_eq!(TraceContext::parse(header), None, "{header}");
    }
}

#[test]
fn a_correlation_made_of_a_trace_names_the_same_trace() {
    let context = TraceContext::parse(EXAMPLE).unwrap();
    assert_eq!(trace_of(&context.correlation()), context.trace);
}

#[test]
fn any_correlation_names_a_trace_and_always_the_same() {
    assert_eq!(trace_of("order 7"), trace_of("order 7"));
    assert_ne!(trace_of("order 7"), trace_of("order 8"));
    assert_ne!(trace_of("00000000-0000-0000-0000-000000000000"), [0; 16]);
}

#[test]
fn a_share_of_the_traces_is_sampled() {
    let sampled = (0..1000_u32).filter(|n| is_sampled(trace_of(&n.to_string()), 0.25));
    assert!((200..300).contains(&sampled.count()));
    assert!((0..100_u32).all(|n| is_sampled(trace_of(&n.to_string()), 1.0)));
    assert!(!(0..100_u32).any(|n| is_sampled(trace_of(&n.to_string()), 0.0)));
}
