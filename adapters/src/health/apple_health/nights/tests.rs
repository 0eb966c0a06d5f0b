//! Nights made of sleep samples.

use serde_json::{Value, json};

use super::*;
use crate::kit::json;

fn moment(minutes: i64) -> Moment {
    Moment {
        seconds: minutes * 60,
        offset_s: 3600,
    }
}

fn add(nights: &mut Nights, source: &str, from: i64, to: i64, stage: Stage) {
    nights
        .add((source, source), (moment(from), moment(to)), stage, None)
        .unwrap();
}

/// Source, start and end in minutes, data.
fn sessions(mut nights: Nights) -> Vec<(String, i64, i64, Value)> {
    let mut all = Vec::new();
    while let Some(session) = nights.next_session() {
        let mut data = Vec::new();
        json::object(&mut data, |data| session.write(data));
        all.push((
            session.app.to_owned(),
            session.start.seconds / 60,
            session.end.seconds / 60,
            serde_json::from_slice(&data).unwrap(),
        ));
    }
    all
}

#[test]
fn stages_less_than_three_hours_apart_are_one_session_in_whatever_order_they_come() {
    let mut nights = Nights::default();
    add(&mut nights, "Watch", 700, 760, Stage::Light);
    add(&mut nights, "Watch", 0, 40, Stage::Light);
    add(&mut nights, "Watch", 50, 80, Stage::Deep);
    add(&mut nights, "Watch", 40, 50, Stage::Awake);
    add(&mut nights, "Watch", 259, 300, Stage::Rem);
    add(&mut nights, "Watch", 480, 490, Stage::AsleepUnspecified);
    let sessions = sessions(nights);
    let spans: Vec<_> = sessions
        .iter()
        .map(|(_, start, end, _)| (*start, *end))
        .collect();
    // 80 to 259 is 2 h 59 min: one night. 300 to 480 is three hours: another.
    assert_eq!(spans, [(0, 300), (480, 490), (700, 760)]);
    let first = &sessions[0].3;
    assert_eq!(first["asleep_s"], json!((40 + 30 + 41) * 60));
    assert_eq!(first["light_s"], json!(40 * 60));
    assert_eq!(first["deep_s"], json!(30 * 60));
    assert_eq!(first["rem_s"], json!(41 * 60));
    assert_eq!(first["awake_s"], json!(10 * 60));
    assert_eq!(first.get("in_bed_s"), None);
    let stages: Vec<_> = first["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["stage"])
        .collect();
    assert_eq!(stages, ["light", "awake", "deep", "rem"]);
    assert_eq!(first["stages"][1]["start_us"], json!(40 * 60_000_000_i64));
}

#[test]
fn sources_do_not_share_a_session_and_overlaps_count_once() {
    let mut nights = Nights::default();
    add(&mut nights, "Phone", 0, 480, Stage::InBed);
    add(&mut nights, "Watch", 10, 100, Stage::Light);
    add(&mut nights, "Watch", 50, 150, Stage::AsleepUnspecified);
    add(&mut nights, "Watch", 10, 100, Stage::Light);
    let sessions = sessions(nights);
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0].3["in_bed_s"], json!(480 * 60));
    assert_eq!(sessions[0].3.get("asleep_s"), None);
    assert_eq!(sessions[1].3["asleep_s"], json!(140 * 60));
    assert_eq!(sessions[1].3["stages"].as_array().unwrap().len(), 2);
}

#[test]
fn endless_sleep_is_cut_and_an_impossible_stage_is_left_out() {
    let mut nights = Nights::default();
    for hour in 0..60 {
        add(
            &mut nights,
            "Band",
            hour * 60,
            hour * 60 + 60,
            Stage::AsleepUnspecified,
        );
    }
    add(&mut nights, "Odd", 0, 3 * 24 * 60, Stage::InBed);
    add(&mut nights, "Odd", 60, 60, Stage::InBed);
    let spans: Vec<_> = sessions(nights)
        .into_iter()
        .map(|(_, start, end, _)| end - start)
        .collect();
    assert_eq!(spans, [1440, 1440, 720]);
    let mut nights = Nights::default();
    for n in 0..i64::try_from(STAGES_OF_SESSION).unwrap() + 10 {
        nights
            .add(
                ("Band", "Band"),
                (
                    Moment {
                        seconds: n * 10,
                        offset_s: 0,
                    },
                    Moment {
                        seconds: n * 10 + 10,
                        offset_s: 0,
                    },
                ),
                Stage::Light,
                None,
            )
            .unwrap();
    }
    let lengths: Vec<_> = sessions(nights)
        .iter()
        .map(|(.., data)| data["stages"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [STAGES_OF_SESSION, 10]);
}

#[test]
fn a_sessions_key_stays_when_its_night_goes_on_in_a_later_export() {
    let (mut short, mut long) = (Nights::default(), Nights::default());
    add(&mut short, "Watch", 0, 40, Stage::Light);
    add(&mut long, "Watch", 0, 40, Stage::Light);
    add(&mut long, "Watch", 40, 90, Stage::Rem);
    assert_eq!(
        short.next_session().unwrap().key,
        long.next_session().unwrap().key
    );
}

#[test]
fn stages_and_sources_beyond_the_limits_are_said() {
    let mut nights = Nights::default();
    for n in 0..NAMES {
        add(&mut nights, &format!("source {n}"), 0, 1, Stage::Light);
    }
    let refused = nights.add(
        ("one more", "one more"),
        (moment(0), moment(1)),
        Stage::Light,
        None,
    );
    assert_eq!(refused, Err(TOO_MANY_STAGES));
    assert_eq!(std::mem::size_of::<Stretch>(), 24);
}
