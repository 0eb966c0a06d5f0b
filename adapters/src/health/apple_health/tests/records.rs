//! Right values, units, instants and sources, for every kind of element.

use serde_json::json;

use super::*;

/// The example of an export with one of each.
const EXAMPLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<HealthData locale="en_US">
 <ExportDate value="2026-07-19 10:36:11 +0200"/>
 <Record type="HKQuantityTypeIdentifierStepCount" sourceName="Fix iPhone" sourceVersion="19.1" unit="count" creationDate="2026-01-05 08:10:00 +0200" startDate="2026-01-05 08:00:00 +0200" endDate="2026-01-05 08:09:30 +0200" value="612"/>
 <Record type="HKQuantityTypeIdentifierBodyMass" sourceName="Fix Scale" unit="lb" startDate="2026-01-05 07:05:11 +0200" endDate="2026-01-05 07:05:11 +0200" value="157.4"/>
 <Record type="HKCategoryTypeIdentifierSleepAnalysis" sourceName="Fix Watch" startDate="2026-01-05 00:02:00 +0200" endDate="2026-01-05 00:40:00 +0200" value="HKCategoryValueSleepAnalysisAsleepCore"><MetadataEntry key="HKTimeZone" value="Europe/Paris"/></Record>
 <Workout workoutActivityType="HKWorkoutActivityTypeRunning" duration="28.5" durationUnit="min" sourceName="Fix Watch" startDate="2026-01-05 07:30:00 +0200" endDate="2026-01-05 07:58:30 +0200"><WorkoutStatistics type="HKQuantityTypeIdentifierDistanceWalkingRunning" startDate="2026-01-05 07:30:00 +0200" endDate="2026-01-05 07:58:30 +0200" sum="5.23" unit="km"/></Workout>
 <ActivitySummary dateComponents="2026-01-05" activeEnergyBurned="412" activeEnergyBurnedUnit="kcal" appleExerciseTime="34" appleStandHours="10"/>
</HealthData>
"#;

fn us(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

#[test]
fn the_example_comes_out_with_the_right_values_units_instants_and_sources() {
    let imported = import(EXAMPLE);
    assert_eq!(imported.records().len(), 6);
    assert!(
        imported.progress.skipped.is_empty(),
        "{:?}",
        imported.progress.skipped
    );

    let steps = imported.one("steps");
    assert_eq!(steps["data"], json!({"count": 612}));
    assert_eq!(steps["start_us"], us("2026-01-05T06:00:00Z"));
    assert_eq!(steps["end_us"], us("2026-01-05T06:09:30Z"));
    assert_eq!(steps["granularity"], "interval");
    assert_eq!(
        steps["source"],
        json!({"app": "Fix iPhone", "recording": "unknown"})
    );
    assert_eq!(steps["civil_date"], "2026-01-05");
    assert_eq!(steps["time_quality"], "local_assumed_zone");

    let weight = imported.one("body_weight");
    assert_eq!(weight["data"], json!({"value": 71.395_439, "unit": "kg"}));
    assert_eq!(weight["start_us"], us("2026-01-05T05:05:11Z"));
    assert_eq!(weight["granularity"], "sample");

    let stage = imported.one("sleep_stage");
    assert_eq!(
        stage["data"],
        json!({"stage": "light", "metadata": {"HKTimeZone": "Europe/Paris"}})
    );
    assert_eq!(stage["start_us"], us("2026-01-04T22:02:00Z"));
    // 23:40 in Paris: the day of waking is still the fourth.
    assert_eq!(stage["civil_date"], "2026-01-04");
    assert_eq!(stage["utc_offset_s"], 3600);
    assert_eq!(stage["time_zone"], "Europe/Paris");
    assert_eq!(stage["time_quality"], "instant");

    let night = imported.one("sleep_session");
    assert_eq!(night["granularity"], "session");
    assert_eq!(night["data"]["asleep_s"], 38 * 60);
    assert_eq!(night["data"]["light_s"], 38 * 60);
    assert_eq!(night["data"]["stages"].as_array().unwrap().len(), 1);
    assert_eq!(night["source"]["app"], "Fix Watch");
    assert_eq!(night["civil_date"], "2026-01-04");
    assert_eq!(night["time_zone"], "Europe/Paris");

    let run = imported.one("workout");
    assert_eq!(
        run["data"],
        json!({
            "activity_type": "running", "native_type": "HKWorkoutActivityTypeRunning",
            "elapsed_s": 1710, "moving_s": 1710, "distance_m": 5230,
            "statistics": [{"name": "distance_walking_running", "sum": 5.23, "unit": "km"}],
        })
    );
    assert_eq!(run["granularity"], "session");

    let day = imported.one("activity_summary");
    assert_eq!(
        day["data"],
        json!({"active_kcal": 412, "exercise_s": 2040, "stand_hours": 10})
    );
    assert_eq!(day["civil_date"], "2026-01-05");
    assert_eq!(day["time_quality"], "date_only");
    assert_eq!(day["granularity"], "daily_total");
    assert_eq!(day.get("start_us"), None);
}

#[test]
fn a_stage_of_sleep_belongs_to_the_day_of_waking() {
    let imported = import_in(
        export(
            r#"<Record type="HKCategoryTypeIdentifierSleepAnalysis" sourceName="W" startDate="2026-01-04 23:30:00 +0100" endDate="2026-01-05 00:30:00 +0100" value="HKCategoryValueSleepAnalysisAsleepREM"/>"#,
        ),
        Some("Europe/Paris"),
    );
    assert_eq!(imported.one("sleep_stage")["civil_date"], "2026-01-05");
    assert_eq!(imported.one("sleep_session")["civil_date"], "2026-01-05");
}

#[test]
fn every_mapped_quantity_has_its_model_and_unit() {
    for (kind, unit, value, model, data) in [
        ("StepCount", "count", "10", "steps", json!({"count": 10})),
        (
            "FlightsClimbed",
            "count",
            "3",
            "floors",
            json!({"count": 3}),
        ),
        (
            "DistanceWalkingRunning",
            "mi",
            "1",
            "distance",
            json!({"meters": 1609.344, "activity": "walking_running"}),
        ),
        (
            "DistanceCycling",
            "km",
            "5.23",
            "distance",
            json!({"meters": 5230, "activity": "cycling"}),
        ),
        (
            "DistanceSwimming",
            "yd",
            "25",
            "distance",
            json!({"meters": 22.86, "activity": "swimming"}),
        ),
        (
            "ActiveEnergyBurned",
            "kJ",
            "418.4",
            "energy",
            json!({"active_kcal": 100}),
        ),
        (
            "BasalEnergyBurned",
            "Cal",
            "12.5",
            "energy",
            json!({"basal_kcal": 12.5}),
        ),
        (
            "HeartRate",
            "count/min",
            "62",
            "heart_rate",
            json!({"bpm": 62}),
        ),
        (
            "RestingHeartRate",
            "count/min",
            "51",
            "resting_heart_rate",
            json!({"value": 51, "unit": "count/min"}),
        ),
        (
            "HeartRateVariabilitySDNN",
            "ms",
            "42.5",
            "hrv_sdnn",
            json!({"value": 42.5, "unit": "ms"}),
        ),
        (
            "OxygenSaturation",
            "%",
            "0.97",
            "oxygen_saturation",
            json!({"fraction": 0.97}),
        ),
        (
            "RespiratoryRate",
            "count/min",
            "14.5",
            "respiratory_rate",
            json!({"value": 14.5, "unit": "count/min"}),
        ),
        (
            "BodyMass",
            "st",
            "11",
            "body_weight",
            json!({"value": 69.853_225, "unit": "kg"}),
        ),
        (
            "Height",
            "ft",
            "5.9",
            "height",
            json!({"value": 1.79832, "unit": "m"}),
        ),
        (
            "BodyFatPercentage",
            "%",
            "0.213",
            "body_fat",
            json!({"value": 0.213, "unit": "fraction"}),
        ),
        (
            "BodyMassIndex",
            "count",
            "22.1",
            "bmi",
            json!({"value": 22.1, "unit": "kg/m2"}),
        ),
        (
            "LeanBodyMass",
            "kg",
            "56.2",
            "lean_mass",
            json!({"value": 56.2, "unit": "kg"}),
        ),
        (
            "AppleExerciseTime",
            "min",
            "1",
            "exercise_time",
            json!({"value": 60, "unit": "s"}),
        ),
        (
            "VO2Max",
            "mL/min·kg",
            "41.2",
            "vo2max",
            json!({"value": 41.2, "unit": "mL/(kg*min)"}),
        ),
        (
            "DietaryWater",
            "mL",
            "250",
            "hydration",
            json!({"liters": 0.25}),
        ),
        (
            "DietaryEnergyConsumed",
            "kcal",
            "95",
            "nutrition_entry",
            json!({"energy_kcal": 95, "level": "food", "meal": "other"}),
        ),
        (
            "DietaryProtein",
            "g",
            "12.5",
            "nutrition_entry",
            json!({"nutrients": {"protein": {"value": 12.5, "unit": "g"}}, "level": "food", "meal": "other"}),
        ),
        (
            "DietaryFatSaturated",
            "g",
            "2",
            "nutrition_entry",
            json!({"nutrients": {"fat_saturated": {"value": 2, "unit": "g"}}, "level": "food", "meal": "other"}),
        ),
        (
            "DietaryVitaminB12",
            "mcg",
            "2.4",
            "nutrition_entry",
            json!({"nutrients": {"vitamin_b12": {"value": 2.4, "unit": "µg"}}, "level": "food", "meal": "other"}),
        ),
        (
            "WalkingSpeed",
            "km/hr",
            "4.3",
            "measure",
            json!({"name": "walking_speed", "value": 4.3, "unit": "km/hr"}),
        ),
        (
            "BloodPressureSystolic",
            "mmHg",
            "121",
            "measure",
            json!({"name": "blood_pressure_systolic", "value": 121, "unit": "mmHg"}),
        ),
    ] {
        let imported = import(export(&quantity(kind, unit, value)));
        assert_eq!(imported.one(model)["data"], data, "{kind}");
    }
}

#[test]
fn a_unit_that_we_do_not_know_is_kept_and_not_guessed() {
    let imported = import(export(&quantity("BodyMass", "slug", "5")));
    let expected = json!({"name": "body_mass", "value": 5, "unit": "slug"});
    assert_eq!(imported.one("measure")["data"], expected);
}

#[test]
fn types_without_a_model_are_kept_by_their_name() {
    let imported = import(export(
        r#"<Record type="HKCategoryTypeIdentifierAppleStandHour" sourceName="W" startDate="2026-01-05 08:00:00 +0200" endDate="2026-01-05 09:00:00 +0200" value="HKCategoryValueAppleStandHourStood"/>
        <Record type="HKDataTypeSleepDurationGoal" sourceName="W" unit="hr" startDate="2026-01-05 08:00:00 +0200" endDate="2026-01-05 08:00:00 +0200" value="8"/>
        <Record type="HKSomethingNew" sourceName="W" startDate="2026-01-05 08:00:00 +0200" endDate="2026-01-05 08:00:00 +0200"/>
        <Record type="HKCategoryTypeIdentifierSleepAnalysis" sourceName="W" startDate="2026-01-05 08:00:00 +0200" endDate="2026-01-05 09:00:00 +0200" value="HKCategoryValueSleepAnalysisDreaming"/>"#,
    ));
    let categories: Vec<_> = imported
        .of("category_sample")
        .iter()
        .map(|r| r["data"].clone())
        .collect();
    assert_eq!(
        categories,
        [
            json!({"name": "apple_stand_hour", "value": "HKCategoryValueAppleStandHourStood"}),
            json!({"name": "something_new"}),
            json!({"name": "sleep_analysis", "value": "HKCategoryValueSleepAnalysisDreaming"}),
        ]
    );
    let goal = json!({"name": "data_type_sleep_duration_goal", "value": 8, "unit": "hr"});
    assert_eq!(imported.one("measure")["data"], goal);
}

#[test]
fn metadata_is_kept_and_says_who_measured() {
    let record = |metadata: &str, device: &str| {
        let xml = format!(
            r#"<Record type="HKQuantityTypeIdentifierHeartRate" sourceName="W" unit="count/min" {device} startDate="2026-01-05 08:00:00 +0200" endDate="2026-01-05 08:00:00 +0200" value="62">{metadata}</Record>"#
        );
        import(export(&xml)).one("heart_rate")
    };
    let entry =
        |key: &str, value: &str| format!("<MetadataEntry key=\"{key}\" value=\"{value}\"/>");
    let typed = record(&entry("HKWasUserEntered", "1"), "");
    assert_eq!(typed["source"]["recording"], "manual");
    assert_eq!(typed["data"]["metadata"], json!({"HKWasUserEntered": "1"}));
    assert_eq!(
        record(&entry("HKWasUserEntered", "0"), "")["source"]["recording"],
        "auto"
    );
    let device = r#"device="&lt;&lt;HKDevice: 0x1&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch2,4&gt;""#;
    assert_eq!(
        record("", device)["source"],
        json!({"app": "W", "device_model": "Watch2,4", "manufacturer": "Apple Inc.", "device_type": "watch", "recording": "auto"})
    );
    let active = record(&entry("HKMetadataKeyHeartRateMotionContext", "2"), "");
    assert_eq!(active["data"]["context"], "active");
    let calm = record(&entry("HKMetadataKeyHeartRateMotionContext", "1"), "");
    assert_eq!(calm["data"]["context"], "sedentary");
    let twice = format!("{}{}{}", entry("a", "1"), entry("b", "2"), entry("a", "3"));
    assert_eq!(
        record(&twice, "")["data"]["metadata"],
        json!({"a": "3", "b": "2"})
    );
}

#[test]
fn the_beats_of_a_variability_are_kept_with_the_clock_as_written() {
    let imported = import(export(
        r#"<Record type="HKQuantityTypeIdentifierHeartRateVariabilitySDNN" sourceName="W" unit="ms" startDate="2026-01-05 08:00:00 +0200" endDate="2026-01-05 08:01:00 +0200" value="42.5">
        <HeartRateVariabilityMetadataList><InstantaneousBeatsPerMinute bpm="78" time="00:20:37,80"/><InstantaneousBeatsPerMinute bpm="?" time="x"/><InstantaneousBeatsPerMinute bpm="79" time="12:20:38.10 AM"/></HeartRateVariabilityMetadataList></Record>"#,
    ));
    assert_eq!(
        imported.one("hrv_sdnn")["data"]["beats"],
        json!([{"bpm": 78, "time": "00:20:37,80"}, {"bpm": 79, "time": "12:20:38.10 AM"}])
    );
}

#[test]
fn workouts_of_all_ages_have_their_totals() {
    let old = import(export(
        r#"<Workout workoutActivityType="HKWorkoutActivityTypeCycling" duration="60" durationUnit="min" totalDistance="12.4" totalDistanceUnit="mi" totalEnergyBurned="418.4" totalEnergyBurnedUnit="kJ" sourceName="W" startDate="2016-11-14 07:25:41 -0700" endDate="2016-11-14 08:30:41 -0700"/>"#,
    ));
    let data = &old.one("workout")["data"];
    assert_eq!(data["distance_m"], 19_955.865_6);
    assert_eq!(data["active_kcal"], 100);
    assert_eq!(
        (&data["moving_s"], &data["elapsed_s"]),
        (&json!(3600), &json!(3900))
    );

    let new = import(export(
        r#"<Workout workoutActivityType="HKWorkoutActivityTypeSwimBikeRun" duration="60.5" durationUnit="min" sourceName="W" startDate="2023-11-14 07:25:41 -0700" endDate="2023-11-14 08:30:41 -0700">
         <MetadataEntry key="HKElevationAscended" value="8208 cm"/>
         <WorkoutEvent type="HKWorkoutEventTypePause" date="2023-11-14 07:30:00 -0700"/>
         <WorkoutEvent type="HKWorkoutEventTypeSegment" date="2023-11-14 07:31:00 -0700" duration="2" durationUnit="min"/>
         <WorkoutActivity uuid="U-1" startDate="2023-11-14 07:25:41 -0700" endDate="2023-11-14 07:45:41 -0700" duration="20" durationUnit="min">
          <WorkoutStatistics type="HKQuantityTypeIdentifierDistanceSwimming" startDate="2023-11-14 07:25:41 -0700" endDate="2023-11-14 07:45:41 -0700" sum="750" unit="m"/>
          <MetadataEntry key="inner" value="1"/>
         </WorkoutActivity>
         <WorkoutStatistics type="HKQuantityTypeIdentifierDistanceSwimming" sum="750" unit="m"/>
         <WorkoutStatistics type="HKQuantityTypeIdentifierDistanceCycling" sum="20" unit="km"/>
         <WorkoutStatistics type="HKQuantityTypeIdentifierActiveEnergyBurned" sum="600" unit="kcal"/>
         <WorkoutStatistics type="HKQuantityTypeIdentifierHeartRate" average="131.5" minimum="88" maximum="171" unit="count/min"/>
         <WorkoutStatistics type="HKQuantityTypeIdentifierStepCount" sum="4000" unit="count"/>
         <WorkoutRoute sourceName="W" startDate="2016-11-14 06:25:44 -0800"><FileReference path="/workout-routes/route_1.gpx"/></WorkoutRoute>
        </Workout>"#,
    ));
    let data = new.one("workout")["data"].clone();
    assert_eq!(data["activity_type"], "triathlon");
    assert_eq!(data["distance_m"], 20_750);
    assert_eq!(data["active_kcal"], 600);
    assert_eq!(
        (&data["hr_avg"], &data["hr_min"], &data["hr_max"]),
        (&json!(131.5), &json!(88), &json!(171))
    );
    assert_eq!(data["steps"], 4000);
    assert_eq!(data["elev_gain_m"], 82.08);
    assert_eq!(data["route_refs"], json!(["/workout-routes/route_1.gpx"]));
    assert_eq!(data["metadata"], json!({"HKElevationAscended": "8208 cm"}));
    assert_eq!(data["statistics"].as_array().unwrap().len(), 5);
    assert_eq!(
        data["events"],
        json!([
            {"type": "pause", "start_us": us("2023-11-14T14:30:00Z")},
            {"type": "segment", "start_us": us("2023-11-14T14:31:00Z"), "duration_s": 120},
        ])
    );
    assert_eq!(
        data["activities"],
        json!([{"native_id": "U-1", "start_us": us("2023-11-14T14:25:41Z"), "end_us": us("2023-11-14T14:45:41Z"), "duration_s": 1200}])
    );
}

#[test]
fn the_parts_of_a_correlation_are_taken_from_the_top_level_only() {
    let part = quantity("BloodPressureSystolic", "mmHg", "121");
    let inner = part.replace("/>", "><MetadataEntry key=\"inner\" value=\"1\"/></Record>");
    let imported = import(export(&format!(
        r#"<Correlation type="HKCorrelationTypeIdentifierBloodPressure" sourceName="Cuff" startDate="2026-01-05 08:00:00 +0200" endDate="2026-01-05 08:00:00 +0200"><MetadataEntry key="arm" value="left"/>{part}{inner}<MetadataEntry key="seat" value="yes"/></Correlation>{part}"#
    )));
    assert_eq!(imported.of("measure").len(), 1);
    assert_eq!(
        imported.one("correlation")["data"],
        json!({"name": "blood_pressure", "metadata": {"arm": "left", "seat": "yes"}})
    );
    assert_eq!(imported.progress.read, 3);
}

#[test]
fn the_person_is_a_record_as_of_the_export() {
    let imported = import(export(
        r#"<Me HKCharacteristicTypeIdentifierDateOfBirth="1984-05-17" HKCharacteristicTypeIdentifierBiologicalSex="HKBiologicalSexFemale" HKCharacteristicTypeIdentifierBloodType="HKBloodTypeABNegative" HKCharacteristicTypeIdentifierFitzpatrickSkinType="HKFitzpatrickSkinTypeNotSet" HKCharacteristicTypeIdentifierCardioFitnessMedicationsUse="None"/>"#,
    ));
    let person = imported.one("profile");
    assert_eq!(
        person["data"],
        json!({"date_of_birth": "1984-05-17", "biological_sex": "female", "blood_type": "ab_negative"})
    );
    assert_eq!(person["start_us"], us("2026-07-19T08:36:11Z"));
}

#[test]
fn documents_that_are_not_ours_keep_their_attributes_with_times_in_utc() {
    let documents = |offset: &str, hour: &str| {
        import(export(&format!(
            r#"<ClinicalRecord type="AllergyIntolerance" identifier="A-1" sourceName="Clinic" sourceURL="https://example.com/fhir" fhirVersion="4.0.1" receivedDate="2026-01-05 {hour}:00:00 {offset}" resourceFilePath="/clinical-records/1.json"/>
            <Audiogram type="HKDataTypeIdentifierAudiogram" sourceName="Ear" device="&lt;&lt;HKDevice: 0x{hour}&gt;&gt;" startDate="2026-01-05 {hour}:00:00 {offset}" endDate="2026-01-05 {hour}:00:00 {offset}"><SensitivityPoint frequencyValue="250"/></Audiogram>
            <VisionPrescription type="glasses" dateIssued="2026-01-05 {hour}:00:00 {offset}" expirationDate="2027-01-05 {hour}:00:00 {offset}" brand="B"/>"#
        )))
    };
    let winter = documents("+0100", "09");
    let clinical = winter.one("clinical_record");
    assert_eq!(clinical["native_id"], "A-1");
    assert_eq!(clinical["start_us"], us("2026-01-05T08:00:00Z"));
    assert_eq!(
        clinical["data"]["resourceFilePath"],
        "/clinical-records/1.json"
    );
    assert_eq!(clinical["data"]["receivedDate"], "2026-01-05T08:00:00Z");
    assert_eq!(
        winter.one("vision_prescription")["end_us"],
        us("2027-01-05T08:00:00Z")
    );
    assert_eq!(winter.one("audiogram")["data"].get("device"), None);
    // The same documents in an export of summer.
    assert_eq!(winter.lines, documents("+0200", "10").lines);
}

#[test]
fn what_cannot_be_a_record_is_counted_by_its_reason() {
    let good = quantity("StepCount", "count", "1");
    let imported = import(export(
        &[
            good.clone(),
            good.replace("startDate=\"2026-01-05 08:00:00 +0200\"", ""),
            good.replace("startDate=\"2026", "startDate=\"yesterday"),
            good.replace("endDate=\"2026", "endDate=\"2025-99"),
            good.replace("endDate=\"2026", "endDate=\"2025"),
            good.replace("value=\"1\"", "value=\"1,5\""),
            good.replace("value=\"1\"", "value=\"NaN\""),
            good.replace("value=\"1\"", ""),
            good.replace("type=\"HKQuantityTypeIdentifierStepCount\"", ""),
            "<Mystery/>".to_owned(),
            "<ActivitySummary dateComponents=\"soon\"/>".to_owned(),
            good.replace(
                "unit=\"count\"",
                &format!("unit=\"{}\"", "x".repeat(40_000)),
            ),
        ]
        .concat(),
    ));
    assert_eq!(imported.records().len(), 1);
    let mut skipped = imported.progress.skipped.clone();
    skipped.sort_unstable();
    assert_eq!(
        skipped,
        [
            ("attribute_too_long", 1),
            ("bad_date", 1),
            ("bad_end_date", 1),
            ("bad_number", 2),
            ("bad_start_date", 1),
            ("ends_before_it_starts", 1),
            ("missing_start_date", 1),
            ("missing_type", 1),
            ("missing_value", 1),
            ("unknown_element", 1),
        ]
    );
    assert_eq!(imported.progress.read, 13);
}
