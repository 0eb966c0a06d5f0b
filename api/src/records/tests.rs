//! Records, page by page.

use serde_json::{json, value::RawValue};
use wharf_domain::{kernel::Position, syncs::RecordKey};
use wharf_projections::records;

use super::{RecordOut, cursor, instant};

#[test]
fn a_record_is_shown_with_instants_and_its_own_data() {
    let body = json!({
        "key": "000102030405060708090a0b0c0d0e0f",
        "model": "steps",
        "start_us": 1_769_860_800_000_000_i64,
        "utc_offset_s": 3600,
        "granularity": "interval",
        "source": {"app": "Watch", "recording": "auto"},
        "data": {"count": 12.50},
    });
    let row = records::Row {
        key: RecordKey([0; 16]),
        model: "steps".to_owned(),
        position: Position(7),
        ordinal: 3,
        deleted: false,
        body: RawValue::from_string(body.to_string()).unwrap(),
    };
    let shown = serde_json::to_value(RecordOut::of(&row).unwrap()).unwrap();
    assert_eq!(shown["start_at"], "2026-01-31T12:00:00Z");
    assert_eq!(shown["end_at"], json!(null));
    assert_eq!(shown["utc_offset_s"], 3600);
    assert_eq!(shown["time_quality"], "instant");
    assert_eq!(shown["granularity"], "interval");
    assert_eq!(shown["source"]["recording"], "auto");
    assert_eq!(shown["data"], json!({"count": 12.5}));
    assert_eq!(shown["position"], 7);
}

#[test]
fn a_cursor_is_what_a_page_gave() {
    let at = cursor("42.7").ok().unwrap();
    assert_eq!((at.position, at.ordinal), (Position(42), 7));
    for bad in ["", "42", "42.", "x.y", "1.2.3"] {
        assert!(cursor(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_instant_is_rfc_3339() {
    let read = |text: &str| instant("from", Some(text.to_owned()));
    assert!(read("2026-01-31T12:00:00Z").unwrap().is_some());
    assert!(read("2026-01-31T13:00:00+01:00").unwrap().is_some());
    for bad in ["2026-01-31", "yesterday", "1769860800"] {
        assert_eq!(read(bad).unwrap_err().parts().0, "F40022", "{bad}");
    }
}
