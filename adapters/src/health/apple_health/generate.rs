//! Writes synthetic exports: any size, realistic in shape and proportion, the same for the same seed.
//! For benches and tests; behind the feature `generate`.
//!
//! What it writes has the habits of real exports: a document type inline, the offset of the export's
//! time on every line, device strings with addresses, typographic quotes in source names, zones in
//! metadata of sleep and workouts only, beats in heart rate variability.

use std::{
    fmt::Write as _,
    io::{self, Read, Seek, SeekFrom, Write},
};

use crate::kit::time::CivilDate;

/// The first day, 2015-01-01.
const FIRST_DAY: i64 = 16_436;
/// Wall clock and offset of everything: a phone in Paris in summer.
const OFFSET_S: i64 = 7200;
const PHONE: &str = "Simon\u{2019}s iPhone";
const WATCH: &str = "Simon\u{2019}s Apple\u{a0}Watch";
const END: &str = "</HealthData>\n";

/// Writes an export of at least `bytes` bytes, and at most a day's worth (about 130 KB) more.
///
/// # Errors
/// What `out` says.
pub fn write_export(out: &mut impl Write, bytes: u64, seed: u64) -> io::Result<()> {
    let mut export = Export::new(bytes, seed);
    while let Some(chunk) = export.next_chunk() {
        out.write_all(chunk.as_bytes())?;
    }
    Ok(())
}

/// An export that is written while it is read, so that a gigabyte of it needs no disk.
#[derive(Debug)]
pub struct GeneratedExport {
    bytes: u64,
    seed: u64,
    export: Export,
    at: usize,
}

impl GeneratedExport {
    /// The same bytes as [`write_export`] writes.
    #[must_use]
    pub fn new(bytes: u64, seed: u64) -> Self {
        Self {
            bytes,
            seed,
            export: Export::new(bytes, seed),
            at: 0,
        }
    }
}

impl Read for GeneratedExport {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self
                .export
                .chunk
                .as_bytes()
                .get(self.at..)
                .unwrap_or_default();
            if !rest.is_empty() {
                let read = (&mut &*rest).read(out)?;
                self.at += read;
                return Ok(read);
            }
            self.at = 0;
            if self.export.next_chunk().is_none() {
                self.export.chunk.clear();
                return Ok(0);
            }
        }
    }
}

impl Seek for GeneratedExport {
    /// Back to the begin is all that a reader of bare XML asks for.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if to != SeekFrom::Start(0) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        *self = Self::new(self.bytes, self.seed);
        Ok(0)
    }
}

/// Splitmix64.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// In `from..to`.
    fn between(&mut self, from: i64, to: i64) -> i64 {
        let range = u64::try_from(to - from).unwrap_or(1).max(1);
        from + i64::try_from(self.roll() % range).unwrap_or(0)
    }
}

#[derive(Debug)]
struct Export {
    dice: Dice,
    chunk: String,
    day: i64,
    written: u64,
    bytes: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Days,
    Done,
}

/// Seconds since 1970 as the export writes them.
struct When(i64);

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let local = self.0 + OFFSET_S;
        let date = CivilDate {
            days: i32::try_from(local.div_euclid(86_400)).unwrap_or(0),
        }
        .text();
        let clock = local.rem_euclid(86_400);
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        write!(
            f,
            "{} {hour:02}:{minute:02}:{second:02} +0200",
            date.as_str()
        )
    }
}

impl Export {
    fn new(bytes: u64, seed: u64) -> Self {
        Self {
            dice: Dice(seed),
            chunk: String::new(),
            day: 0,
            written: 0,
            bytes,
            stage: Stage::Head,
        }
    }

    fn next_chunk(&mut self) -> Option<&str> {
        self.chunk.clear();
        // Writing to a `String` does not fail.
        let _ = match self.stage {
            Stage::Done => return None,
            Stage::Head => {
                self.stage = Stage::Days;
                self.head()
            }
            Stage::Days if self.written + END.len() as u64 >= self.bytes => {
                self.stage = Stage::Done;
                self.chunk.write_str(END)
            }
            Stage::Days => self.next_day(),
        };
        self.written += self.chunk.len() as u64;
        Some(&self.chunk)
    }

    fn head(&mut self) -> std::fmt::Result {
        self.chunk.push_str(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [
<!-- HealthKit Export Version: 12 -->
<!ELEMENT HealthData (ExportDate,Me,(Record|Workout|ActivitySummary)*)>
<!ATTLIST HealthData locale CDATA #REQUIRED>
<!ELEMENT VisionPrescription EMPTY>
<!ATTLIST VisionPrescription type CDATA #REQUIRED
]>
<HealthData locale="en_FR">
 <ExportDate value="2026-07-19 10:36:11 +0200"/>
 <Me HKCharacteristicTypeIdentifierDateOfBirth="1984-05-17" HKCharacteristicTypeIdentifierBiologicalSex="HKBiologicalSexMale" HKCharacteristicTypeIdentifierBloodType="HKBloodTypeAPositive" HKCharacteristicTypeIdentifierFitzpatrickSkinType="HKFitzpatrickSkinTypeNotSet" HKCharacteristicTypeIdentifierCardioFitnessMedicationsUse="None"/>
"#,
        );
        Ok(())
    }

    fn next_day(&mut self) -> std::fmt::Result {
        let midnight = (FIRST_DAY + self.day) * 86_400 - OFFSET_S;
        self.heart(midnight)?;
        self.movement(midnight)?;
        self.sleep(midnight)?;
        if self.day % 2 == 0 {
            self.workout(midnight + 18 * 3600)?;
        }
        self.body(midnight + 7 * 3600)?;
        let (energy, exercise, stand) = (
            self.dice.between(200, 900),
            self.dice.between(5, 90),
            self.dice.between(6, 16),
        );
        let date = CivilDate {
            days: i32::try_from(FIRST_DAY + self.day).unwrap_or(0),
        }
        .text();
        writeln!(
            self.chunk,
            r#" <ActivitySummary dateComponents="{}" activeEnergyBurned="{energy}.{exercise}" activeEnergyBurnedGoal="500" activeEnergyBurnedUnit="kcal" appleMoveTime="0" appleMoveTimeGoal="0" appleExerciseTime="{exercise}" appleExerciseTimeGoal="30" appleStandHours="{stand}" appleStandHoursGoal="12"/>"#,
            date.as_str()
        )?;
        self.day += 1;
        Ok(())
    }

    fn watch(&mut self) -> u64 {
        self.dice.roll() >> 31
    }

    /// One record without children, of the watch.
    fn sample(
        &mut self,
        kind: &str,
        unit: &str,
        from: i64,
        to: i64,
        value: &str,
    ) -> std::fmt::Result {
        let address = self.watch();
        writeln!(
            self.chunk,
            r#" <Record type="HKQuantityTypeIdentifier{kind}" sourceName="{WATCH}" sourceVersion="11.2" device="&lt;&lt;HKDevice: 0x{address:09x}&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,2, software:11.2&gt;" unit="{unit}" creationDate="{}" startDate="{}" endDate="{}" value="{value}"/>"#,
            When(to + 3),
            When(from),
            When(to),
        )
    }

    fn heart(&mut self, midnight: i64) -> std::fmt::Result {
        let mut at = midnight;
        for _ in 0..180 {
            at += self.dice.between(240, 700);
            let (bpm, address, context) = (
                self.dice.between(48, 150),
                self.watch(),
                self.dice.between(0, 3),
            );
            writeln!(
                self.chunk,
                r#" <Record type="HKQuantityTypeIdentifierHeartRate" sourceName="{WATCH}" sourceVersion="11.2" device="&lt;&lt;HKDevice: 0x{address:09x}&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,2, software:11.2&gt;" unit="count/min" creationDate="{}" startDate="{}" endDate="{}" value="{bpm}">
  <MetadataEntry key="HKMetadataKeyHeartRateMotionContext" value="{context}"/>
 </Record>"#,
                When(at + 3),
                When(at),
                When(at),
            )?;
        }
        let at = midnight + 4 * 3600;
        let (variability, fraction) = (self.dice.between(20, 90), self.dice.between(9000, 10_000));
        write!(
            self.chunk,
            r#" <Record type="HKQuantityTypeIdentifierHeartRateVariabilitySDNN" sourceName="{WATCH}" sourceVersion="11.2" unit="ms" creationDate="{0}" startDate="{0}" endDate="{1}" value="{variability}.0413">
  <HeartRateVariabilityMetadataList>"#,
            When(at),
            When(at + 60),
        )?;
        for n in 0..40 {
            let bpm = self.dice.between(50, 70);
            write!(
                self.chunk,
                "\n   <InstantaneousBeatsPerMinute bpm=\"{bpm}\" time=\"06:00:{n:02},{bpm}\"/>"
            )?;
        }
        self.chunk
            .push_str("\n  </HeartRateVariabilityMetadataList>\n </Record>\n");
        self.sample("RestingHeartRate", "count/min", midnight, at, "56")?;
        self.sample("OxygenSaturation", "%", at, at, &format!("0.{fraction}"))?;
        self.sample("RespiratoryRate", "count/min", at, at, "14.5")
    }

    fn movement(&mut self, midnight: i64) -> std::fmt::Result {
        let mut at = midnight + 7 * 3600;
        for _ in 0..30 {
            at += self.dice.between(600, 1900);
            let until = at + self.dice.between(30, 600);
            let (steps, address) = (self.dice.between(5, 900), self.watch());
            writeln!(
                self.chunk,
                r#" <Record type="HKQuantityTypeIdentifierStepCount" sourceName="{PHONE}" sourceVersion="18.6" device="&lt;&lt;HKDevice: 0x{address:09x}&gt;, name:iPhone, manufacturer:Apple Inc., model:iPhone, hardware:iPhone14,2, software:18.6&gt;" unit="count" creationDate="{}" startDate="{}" endDate="{}" value="{steps}"/>"#,
                When(until + 60),
                When(at),
                When(until),
            )?;
            let (meters, energy) = (self.dice.between(5, 900), self.dice.between(100, 9000));
            self.sample("StepCount", "count", at, until, &steps.to_string())?;
            let km = format!("0.{meters:04}");
            self.sample("DistanceWalkingRunning", "km", at, until, &km)?;
            self.sample(
                "ActiveEnergyBurned",
                "kcal",
                at,
                until,
                &format!("0.{energy}"),
            )?;
            self.sample(
                "BasalEnergyBurned",
                "kcal",
                at,
                until,
                &format!("12.{energy}"),
            )?;
            self.sample("WalkingSpeed", "km/hr", at, until, &format!("4.{meters}"))?;
        }
        Ok(())
    }

    fn sleep(&mut self, midnight: i64) -> std::fmt::Result {
        let mut at = midnight - self.dice.between(0, 5400);
        for _ in 0..self.dice.between(12, 28) {
            let until = at + self.dice.between(120, 3000);
            let stage = match self.dice.between(0, 10) {
                0 => "Awake",
                1 | 2 => "AsleepDeep",
                3 | 4 => "AsleepREM",
                _ => "AsleepCore",
            };
            writeln!(
                self.chunk,
                r#" <Record type="HKCategoryTypeIdentifierSleepAnalysis" sourceName="{WATCH}" sourceVersion="11.2" creationDate="{}" startDate="{}" endDate="{}" value="HKCategoryValueSleepAnalysis{stage}">
  <MetadataEntry key="HKTimeZone" value="Europe/Paris"/>
 </Record>"#,
                When(until + 9000),
                When(at),
                When(until),
            )?;
            at = until;
        }
        Ok(())
    }

    fn workout(&mut self, at: i64) -> std::fmt::Result {
        let until = at + self.dice.between(1200, 5400);
        let (kind, distance) = match self.dice.between(0, 3) {
            0 => ("Running", "WalkingRunning"),
            1 => ("Cycling", "Cycling"),
            _ => ("Walking", "WalkingRunning"),
        };
        let (minutes, energy, km) = (
            (until - at) / 60,
            self.dice.between(100, 900),
            self.dice.between(2, 30),
        );
        writeln!(
            self.chunk,
            r#" <Workout workoutActivityType="HKWorkoutActivityType{kind}" duration="{minutes}.25" durationUnit="min" sourceName="{WATCH}" sourceVersion="11.2" creationDate="{1}" startDate="{0}" endDate="{1}">
  <MetadataEntry key="HKTimeZone" value="Europe/Paris"/>
  <MetadataEntry key="HKElevationAscended" value="8208 cm"/>
  <WorkoutEvent type="HKWorkoutEventTypeSegment" date="{0}" duration="10.9" durationUnit="min"/>
  <WorkoutStatistics type="HKQuantityTypeIdentifierActiveEnergyBurned" startDate="{0}" endDate="{1}" sum="{energy}" unit="kcal"/>
  <WorkoutStatistics type="HKQuantityTypeIdentifierDistance{distance}" startDate="{0}" endDate="{1}" sum="{km}.5" unit="km"/>
  <WorkoutStatistics type="HKQuantityTypeIdentifierHeartRate" startDate="{0}" endDate="{1}" average="131.5" minimum="88" maximum="171" unit="count/min"/>
  <WorkoutRoute sourceName="{WATCH}" sourceVersion="11.2" creationDate="{1}" startDate="{0}" endDate="{1}">
   <FileReference path="/workout-routes/route_{2}.gpx"/>
  </WorkoutRoute>
 </Workout>"#,
            When(at),
            When(until),
            self.day,
        )
    }

    fn body(&mut self, at: i64) -> std::fmt::Result {
        let grams = self.dice.between(0, 999);
        writeln!(
            self.chunk,
            r#" <Record type="HKQuantityTypeIdentifierBodyMass" sourceName="Scale" sourceVersion="3.4" unit="kg" creationDate="{0}" startDate="{0}" endDate="{0}" value="71.{grams:03}"/>
 <Record type="HKQuantityTypeIdentifierBodyFatPercentage" sourceName="Scale" sourceVersion="3.4" unit="%" creationDate="{0}" startDate="{0}" endDate="{0}" value="0.{grams:03}"/>
 <Record type="HKCategoryTypeIdentifierAppleStandHour" sourceName="{WATCH}" sourceVersion="11.2" creationDate="{0}" startDate="{0}" endDate="{1}" value="HKCategoryValueAppleStandHourStood"/>"#,
            When(at),
            When(at + 3600),
        )
    }
}
