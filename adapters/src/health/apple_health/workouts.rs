//! What is in a `Workout`.
//!
//! Until iOS 15 totals are attributes, from iOS 16 on they are `WorkoutStatistics`; both are read.

use super::{
    item::{Element, Item, Tag},
    samples::{number, snake_case},
};
use crate::kit::{json::Object, time::Moment, units::Unit};

/// Most statistics, events, activities, routes of one workout that are kept, each.
const PARTS: usize = 400;

/// Writes the model's fields of a workout of this native type, from `start` to `end`.
pub(super) fn write(kind: &str, start: Moment, end: Moment, item: &Item, data: &mut Object<'_>) {
    let native = kind.strip_prefix("HKWorkoutActivityType").unwrap_or(kind);
    data.string("activity_type", activity_type(native));
    data.string("native_type", kind);
    data.integer("elapsed_s", end.seconds - start.seconds);
    let root = item.root();
    // HealthKit's duration is without pauses.
    if let Some(moving) = quantity(root, "duration", "durationUnit", Unit::Seconds) {
        data.number("moving_s", moving);
    }
    totals(item, data);
    statistics(item, data);
    events(item, data);
    activities(item, data);
    routes(item, data);
}

fn totals(item: &Item, data: &mut Object<'_>) {
    let root = item.root();
    let mut distance = quantity(root, "totalDistance", "totalDistanceUnit", Unit::Metres);
    let mut energy = quantity(
        root,
        "totalEnergyBurned",
        "totalEnergyBurnedUnit",
        Unit::Kilocalories,
    );
    let mut measured = None;
    for tag in parts(item, Element::WorkoutStatistics) {
        let Some(name) = statistic_name(tag) else {
            continue;
        };
        match name {
            "ActiveEnergyBurned" => energy = sum(tag, Unit::Kilocalories).or(energy),
            "BasalEnergyBurned" => put(data, "basal_kcal", sum(tag, Unit::Kilocalories)),
            "StepCount" => put(data, "steps", sum(tag, Unit::Count)),
            "FlightsClimbed" => put(data, "floors", sum(tag, Unit::Count)),
            "HeartRate" => {
                for (field, of) in [
                    ("hr_avg", "average"),
                    ("hr_min", "minimum"),
                    ("hr_max", "maximum"),
                ] {
                    put(data, field, quantity(tag, of, "unit", Unit::PerMinute));
                }
            }
            _ if name.starts_with("Distance") => {
                // A triathlon has three of them.
                if let Some(meters) = sum(tag, Unit::Metres) {
                    measured = Some(measured.unwrap_or(0.0) + meters);
                }
            }
            _ => {}
        }
    }
    distance = measured.or(distance);
    put(data, "distance_m", distance);
    put(data, "active_kcal", energy);
    let climbed = item
        .metadata()
        .find(|(key, _)| *key == "HKElevationAscended");
    put(
        data,
        "elev_gain_m",
        climbed.and_then(|(_, value)| {
            let (value, unit) = value.split_once(' ')?;
            Unit::Metres.convert(number(value).ok()?, unit)
        }),
    );
}

/// Everything that was measured during it, as it came.
fn statistics(item: &Item, data: &mut Object<'_>) {
    let mut all = parts(item, Element::WorkoutStatistics).peekable();
    if all.peek().is_none() {
        return;
    }
    data.list("statistics", |list| {
        for tag in all {
            let Some(name) = statistic_name(tag) else {
                continue;
            };
            list.object(|statistic| {
                statistic.string("name", &snake_case(name));
                for field in ["sum", "average", "minimum", "maximum"] {
                    put(
                        statistic,
                        field,
                        tag.get(field).and_then(|text| number(text).ok()),
                    );
                }
                statistic.string("unit", tag.get("unit").unwrap_or_default());
            });
        }
    });
}

fn events(item: &Item, data: &mut Object<'_>) {
    let mut all = parts(item, Element::WorkoutEvent).peekable();
    if all.peek().is_none() {
        return;
    }
    data.list("events", |list| {
        for tag in all {
            let kind = tag.get("type").unwrap_or_default();
            list.object(|event| {
                event.string(
                    "type",
                    &snake_case(kind.strip_prefix("HKWorkoutEventType").unwrap_or(kind)),
                );
                put_instant(event, "start_us", tag.get("date"));
                put(
                    event,
                    "duration_s",
                    quantity(tag, "duration", "durationUnit", Unit::Seconds),
                );
            });
        }
    });
}

/// The parts of a workout of several sports.
fn activities(item: &Item, data: &mut Object<'_>) {
    let mut all = parts(item, Element::WorkoutActivity).peekable();
    if all.peek().is_none() {
        return;
    }
    data.list("activities", |list| {
        for tag in all {
            list.object(|activity| {
                if let Some(uuid) = tag.get("uuid") {
                    activity.string("native_id", uuid);
                }
                put_instant(activity, "start_us", tag.get("startDate"));
                put_instant(activity, "end_us", tag.get("endDate"));
                put(
                    activity,
                    "duration_s",
                    quantity(tag, "duration", "durationUnit", Unit::Seconds),
                );
            });
        }
    });
}

/// The files of the archive that hold its track.
fn routes(item: &Item, data: &mut Object<'_>) {
    let references = item
        .children()
        .filter(|tag| tag.element == Element::FileReference);
    let mut paths = references
        .filter_map(|tag| tag.get("path"))
        .take(PARTS)
        .peekable();
    if paths.peek().is_none() {
        return;
    }
    data.list("route_refs", |list| {
        for path in paths {
            list.string(path);
        }
    });
}

fn parts(item: &Item, element: Element) -> impl Iterator<Item = Tag<'_>> {
    item.children()
        .filter(move |tag| tag.depth == 1 && tag.element == element)
        .take(PARTS)
}

fn statistic_name(tag: Tag<'_>) -> Option<&str> {
    let kind = tag.get("type")?;
    Some(
        kind.strip_prefix("HKQuantityTypeIdentifier")
            .unwrap_or(kind),
    )
}

fn sum(tag: Tag<'_>, to: Unit) -> Option<f64> {
    quantity(tag, "sum", "unit", to)
}

/// The attribute `value`, written in the unit of the attribute `unit`, in the unit `to`. An event's
/// duration without a unit is in minutes, as every duration of an export.
fn quantity(tag: Tag<'_>, value: &str, unit: &str, to: Unit) -> Option<f64> {
    let unit = match tag.get(unit) {
        Some(unit) => unit,
        None if to == Unit::Seconds => "min",
        None => return None,
    };
    to.convert(number(tag.get(value)?).ok()?, unit)
}

fn put(data: &mut Object<'_>, name: &str, value: Option<f64>) {
    if let Some(value) = value {
        data.number(name, value);
    }
}

fn put_instant(data: &mut Object<'_>, name: &str, text: Option<&str>) {
    if let Some(Ok(moment)) = text.map(Moment::parse) {
        data.integer(name, moment.micros());
    }
}

/// The hub's activities. Everything without a line here is `other`; the native type is kept.
fn activity_type(native: &str) -> &'static str {
    match native {
        "Running" => "running",
        "Walking" => "walking",
        "Cycling" | "HandCycling" => "cycling",
        "Swimming" => "swimming",
        "SwimBikeRun" => "triathlon",
        "Hiking" => "hiking",
        "Yoga" => "yoga",
        "Pilates" | "Barre" | "Flexibility" => "flexibility",
        "TraditionalStrengthTraining" | "FunctionalStrengthTraining" | "CoreTraining" => {
            "strength_training"
        }
        "HighIntensityIntervalTraining" | "CrossTraining" | "MixedCardio" => "interval_training",
        "Elliptical" => "elliptical",
        "StairClimbing" | "Stairs" | "StepTraining" => "stair_climbing",
        "Rowing" => "rowing",
        "PaddleSports" => "paddling",
        "CrossCountrySkiing" | "DownhillSkiing" | "SnowSports" => "skiing",
        "Snowboarding" => "snowboarding",
        "SkatingSports" => "skating",
        "Climbing" => "climbing",
        "Tennis" | "TableTennis" | "Badminton" | "Squash" | "Racquetball" | "Pickleball" => {
            "racket_sport"
        }
        "Soccer" | "Basketball" | "Volleyball" | "Handball" | "Rugby" | "Hockey" | "Baseball"
        | "Softball" | "Cricket" | "AmericanFootball" | "AustralianFootball" | "Lacrosse"
        | "WaterPolo" => "team_sport",
        "Boxing" | "Kickboxing" | "MartialArts" | "Wrestling" | "TaiChi" | "Fencing" => {
            "martial_arts"
        }
        "Dance" | "SocialDance" | "CardioDance" => "dance",
        "Golf" => "golf",
        "MindAndBody" => "meditation",
        _ => "other",
    }
}
