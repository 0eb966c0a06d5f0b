//! The oddities of real exports, by the numbers of the connector's documentation. The fifth, size, is
//! in `large.rs` and `broken.rs`.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

#[test]
fn quirk_1_a_broken_document_type_and_its_entities_are_never_read() {
    let elements = format!(
        "{}{}",
        quantity("StepCount", "count", "1"),
        quantity("StepCount", "count", "2").replace("Fix Watch", "&amp;&xxe;&bomb;&#33;")
    );
    let broken = export(&elements).replace(
        "<HealthData locale",
        "<!DOCTYPE HealthData [\n<!-- HealthKit Export Version: 12 -->\n\
         <!ENTITY xxe SYSTEM \"file:///etc/passwd\"><!ENTITY bomb \"&xxe;&xxe;\">\n\
         <!ELEMENT HealthData (ExportDate,Me,(Record|Workout)*)>\n\
         <!ATTLIST VisionPrescription\n  type CDATA #REQUIRED\n  device CDATA #IMPLIED\n\
         <!ELEMENT RightEye EMPTY>\n]>\n<HealthData locale",
    );
    let imported = import(broken);
    let apps: Vec<_> = imported
        .of("steps")
        .iter()
        .map(|r| r["source"]["app"].clone())
        .collect();
    assert_eq!(apps, ["Fix Watch", "&&xxe;&bomb;!"]);
}

#[test]
fn quirk_2_control_characters_in_values_are_dropped() {
    let mut xml =
        export(&quantity("StepCount", "count", "1").replace("Fix Watch", "Fix\u{b}Watch"))
            .into_bytes();
    xml.extend_from_slice(b"\0");
    assert_eq!(import(xml).one("steps")["source"]["app"], "FixWatch");
    let reference = quantity("StepCount", "count", "1").replace("Fix Watch", "Fix&#11;Watch");
    assert_eq!(
        import(export(&reference)).one("steps")["source"]["app"],
        "FixWatch"
    );
    let mut invalid = export(&quantity("StepCount", "count", "1")).into_bytes();
    let at = invalid.windows(9).position(|w| w == b"Fix Watch").unwrap();
    invalid[at + 3] = 0xff;
    assert_eq!(import(invalid).one("steps")["source"]["app"], "Fix?Watch");
}

#[test]
fn quirk_3_an_export_of_ios_8_is_refused_and_says_why() {
    let me = "<Me HKCharacteristicTypeIdentifierDateOfBirth=\"1984-05-17\"/>";
    let old = quantity("StepCount", "count", "1").replace("sourceName", "source name");
    let why = refusal(export(&format!("{me}{old}")), Limits::default());
    assert!(
        why.contains("iOS 8") && why.contains("export again"),
        "{why}"
    );
    // One odd element in a good export costs that element only.
    let good = quantity("StepCount", "count", "2");
    let imported = import(export(&format!("{good}{old}")));
    assert_eq!(imported.of("steps").len(), 1);
    assert_eq!(imported.skipped("attribute_names_with_spaces"), 1);
}

#[test]
fn quirk_4_what_was_read_of_a_file_that_breaks_off_is_kept() {
    let whole =
        export(&(quantity("StepCount", "count", "1") + &quantity("StepCount", "count", "2")));
    let cut = &whole[..whole.len() - 40];
    let imported = import(cut);
    assert!(matches!(imported.error, Some(ImportError::Broken(_))));
    assert_eq!(imported.records().len(), 1);
}

#[test]
fn quirk_6_the_offset_is_that_of_the_export_so_only_the_instant_counts() {
    let record = quantity("StepCount", "count", "1")
        .replace("2026-01-05 08:00:00 +0200", "2026-01-05 00:30:00 +0200");
    let with_zone = record.replace(
        "/>",
        "><MetadataEntry key=\"HKTimeZone\" value=\"Europe/Paris\"/></Record>",
    );
    let instant = "2026-01-04T22:30:00Z"
        .parse::<jiff::Timestamp>()
        .unwrap()
        .as_microsecond();
    for (xml, zone, date, offset, quality) in [
        // Winter in Paris, written in summer: 23:30 of the day before.
        (&with_zone, None, "2026-01-04", json!(3600), "instant"),
        (
            &with_zone,
            Some("Asia/Tokyo"),
            "2026-01-04",
            json!(3600),
            "instant",
        ),
        (
            &record,
            Some("Europe/Paris"),
            "2026-01-04",
            json!(null),
            "instant",
        ),
        (
            &record,
            Some("Asia/Tokyo"),
            "2026-01-05",
            json!(null),
            "instant",
        ),
        (
            &record,
            None,
            "2026-01-05",
            json!(null),
            "local_assumed_zone",
        ),
    ] {
        let steps = import_in(export(xml), zone).one("steps");
        assert_eq!(steps["start_us"], instant);
        assert_eq!(steps["civil_date"], date);
        assert_eq!(steps["utc_offset_s"], offset);
        assert_eq!(steps["time_quality"], quality);
    }
    let unknown = AppleHealth::new().import(source(export(&record).into(), Some("Mars/Olympus")));
    assert!(matches!(unknown, Err(ImportError::Refused(why)) if why.contains("time_zone")));
}

/// An export made at another time: other offset, other addresses, other creation dates and versions.
fn exported(offset: &str, hour: u8, address: &str) -> String {
    export(&format!(
        r#"<Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Simon’s Watch" sourceVersion="{hour}" device="&lt;&lt;HKDevice: {address}&gt;, name:Apple Watch, model:Watch&gt;" unit="count/min" creationDate="2026-01-05 {hour:02}:00:09 {offset}" startDate="2026-01-05 {hour:02}:00:00 {offset}" endDate="2026-01-05 {hour:02}:00:00 {offset}" value="62"/>
        <Workout workoutActivityType="HKWorkoutActivityTypeRunning" duration="28.5" durationUnit="min" sourceName="W" startDate="2026-01-05 {hour:02}:30:00 {offset}" endDate="2026-01-05 {hour:02}:58:30 {offset}"/>
        <Record type="HKCategoryTypeIdentifierSleepAnalysis" sourceName="W" startDate="2026-01-05 {hour:02}:00:00 {offset}" endDate="2026-01-05 {hour:02}:40:00 {offset}" value="HKCategoryValueSleepAnalysisAsleepCore"/>
        <ActivitySummary dateComponents="2026-01-05" activeEnergyBurned="{hour}" activeEnergyBurnedUnit="kcal"/>"#
    ))
}

fn keys(imported: &Imported) -> BTreeSet<String> {
    imported
        .records()
        .iter()
        .map(|record| record["key"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn quirk_7_and_8_a_later_export_of_the_same_history_has_the_same_keys() {
    let winter = import(exported("+0100", 8, "0x282a45810"));
    let summer = import(exported("+0200", 9, "0x10f00"));
    assert_eq!(winter.records().len(), 5);
    assert_eq!(keys(&winter).len(), 5);
    assert_eq!(keys(&winter), keys(&summer));
}

#[test]
fn quirk_8_what_differs_in_type_time_source_value_or_unit_has_another_key() {
    let base = quantity("StepCount", "count", "1");
    let mut all = BTreeSet::new();
    for other in [
        base.clone(),
        base.replace("StepCount", "FlightsClimbed"),
        base.replace(
            "startDate=\"2026-01-05 08:00:00",
            "startDate=\"2026-01-05 07:59:59",
        ),
        base.replace(
            "endDate=\"2026-01-05 08:00:00",
            "endDate=\"2026-01-05 08:00:01",
        ),
        base.replace("Fix Watch", "Fix Phone"),
        base.replace("value=\"1\"", "value=\"2\""),
        base.replace("unit=\"count\"", "unit=\"counts\""),
    ] {
        all.extend(keys(&import(export(&other))));
    }
    assert_eq!(all.len(), 7);
}

#[test]
fn quirk_9_phone_and_watch_are_both_kept_each_with_its_source() {
    let watch = quantity("StepCount", "count", "100");
    let imported = import(export(&format!(
        "{watch}{}",
        watch.replace("Fix Watch", "Fix iPhone")
    )));
    assert_eq!(imported.of("steps").len(), 2);
    assert_eq!(keys(&imported).len(), 2);
}

#[test]
fn quirk_10_numbers_have_a_point_whatever_the_locale_of_the_metadata() {
    let record = quantity("BodyMass", "kg", "71.4").replace(
        "/>",
        "><MetadataEntry key=\"note\" value=\"71,4\"/></Record>",
    );
    let weight = import(export(&record).replace("en_US", "fr_FR")).one("body_weight");
    assert_eq!(weight["data"]["value"], 71.4);
    assert_eq!(weight["data"]["metadata"]["note"], "71,4");
}

#[test]
fn quirk_11_quotes_and_spaces_of_a_source_are_one_for_the_key_and_kept_in_the_record() {
    let named = |name: &str| {
        let imported = import(export(
            &quantity("StepCount", "count", "1").replace("Fix Watch", name),
        ));
        (
            keys(&imported),
            imported.one("steps")["source"]["app"]
                .as_str()
                .unwrap()
                .to_owned(),
        )
    };
    let plain = named("Simon's Apple Watch");
    let typographic = named("Simon\u{2019}s Apple\u{a0}Watch");
    assert_eq!(plain.0, typographic.0);
    assert_eq!(typographic.1, "Simon\u{2019}s Apple\u{a0}Watch");
    assert_ne!(named("Simon's Watch").0, plain.0);
}

#[test]
fn the_same_file_gives_the_same_pages() {
    let mut file = Vec::new();
    generate::write_export(&mut file, 3_000_000, 5).unwrap();
    let (one, two) = (import(file.clone()), import(file.clone()));
    assert!(one.pages.len() > 5);
    let lines = |imported: &Imported| -> Vec<Vec<u8>> {
        imported
            .pages
            .iter()
            .map(|page| page.lines.clone())
            .collect()
    };
    assert_eq!(lines(&one), lines(&two));
    let zip = zipped(
        &[("apple_health_export/export.xml", &file)],
        CompressionMethod::Deflated,
    );
    assert_eq!(lines(&one), lines(&import(zip)));
    // Another zone changes days, never what is what.
    assert_eq!(keys(&one), keys(&import_in(file, Some("Asia/Tokyo"))));
}

#[test]
fn every_line_reads_back_as_a_record() {
    let mut file = Vec::new();
    generate::write_export(&mut file, 500_000, 9).unwrap();
    let imported = import(file);
    for line in imported
        .lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let record: wharf_domain::syncs::Record<'_> = serde_json::from_slice(line).unwrap();
        assert_eq!(serde_json::to_vec(&record).unwrap(), line);
        assert!(record.civil_date.is_some());
    }
    assert!(imported.progress.skipped.is_empty());
}
