//! What is in a `Record`: a quantity, or a category. The table of types stands at the end.
//!
//! A type, or a unit, that the table does not know is kept as it came: a quantity as `measure`, a
//! category as `category_sample`.

use wharf_domain::ports::SkipReason;

use super::{
    item::{Element, Item},
    nights::Stage,
};
use crate::kit::{json::Object, units::Unit};

/// Most beats of one heart rate variability that are kept.
const BEATS: usize = 1000;

/// What was found in a `Record`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// The unified model.
    pub(super) model: &'static str,
    /// It is a stage of sleep.
    pub(super) stage: Option<Stage>,
}

/// Writes the model's fields of a `Record` with this type, value and unit.
///
/// # Errors
/// It is a quantity without a number.
pub(super) fn write(
    kind: &str,
    value: Option<&str>,
    unit: Option<&str>,
    item: &Item,
    data: &mut Object<'_>,
) -> Result<Content, SkipReason> {
    let unit = unit.unwrap_or_default();
    let plain = |model| Content { model, stage: None };
    if let Some(name) = kind.strip_prefix("HKQuantityTypeIdentifier") {
        let value = number(value.ok_or("missing_value")?)?;
        return Ok(plain(quantity(name, value, unit, item, data)));
    }
    if let Some(name) = kind.strip_prefix("HKCategoryTypeIdentifier") {
        if name == "SleepAnalysis"
            && let Some(stage) = value.and_then(Stage::named)
        {
            data.string("stage", stage.as_str());
            return Ok(Content {
                model: "sleep_stage",
                stage: Some(stage),
            });
        }
        return Ok(plain(category(name, value, data)));
    }
    // `HKDataTypeSleepDurationGoal` and whatever comes: a number is a quantity.
    let name = kind.strip_prefix("HK").unwrap_or(kind);
    Ok(plain(match value.map(number) {
        Some(Ok(value)) => measure(name, value, unit, data),
        Some(Err(_)) | None => category(name, value, data),
    }))
}

/// A number as the export writes it: with a point in every locale.
///
/// # Errors
/// It is none, or none that JSON can say.
pub(super) fn number(text: &str) -> Result<f64, SkipReason> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) | Err(_) => Err("bad_number"),
    }
}

fn quantity(
    name: &str,
    value: f64,
    unit: &str,
    item: &Item,
    data: &mut Object<'_>,
) -> &'static str {
    if let Some(known) = known(name)
        && let Some(converted) = known.unit.convert(value, unit)
    {
        data.number(known.field, converted);
        match known.field {
            "value" => data.string("unit", known.unit.symbol()),
            "bpm" => heart_rate_context(item, data),
            "energy_kcal" => nutrition(item, data),
            _ => {}
        }
        if known.model == "hrv_sdnn" {
            beats(item, data);
        }
        return known.model;
    }
    if let Some(activity) = name.strip_prefix("Distance")
        && let Some(meters) = Unit::Metres.convert(value, unit)
    {
        data.number("meters", meters);
        data.string("activity", &snake_case(activity));
        return "distance";
    }
    if let Some(nutrient) = name.strip_prefix("Dietary") {
        data.object("nutrients", |nutrients| {
            nutrients.object(&snake_case(nutrient), |amount| {
                amount.number("value", value);
                amount.string("unit", if unit == "mcg" { "µg" } else { unit });
            });
        });
        nutrition(item, data);
        return "nutrition_entry";
    }
    measure(name, value, unit, data)
}

fn measure(name: &str, value: f64, unit: &str, data: &mut Object<'_>) -> &'static str {
    data.string("name", &snake_case(name));
    data.number("value", value);
    data.string("unit", unit);
    "measure"
}

fn category(name: &str, value: Option<&str>, data: &mut Object<'_>) -> &'static str {
    data.string("name", &snake_case(name));
    if let Some(value) = value {
        data.string("value", value);
    }
    "category_sample"
}

fn heart_rate_context(item: &Item, data: &mut Object<'_>) {
    let context = item
        .metadata()
        .find(|(key, _)| *key == "HKMetadataKeyHeartRateMotionContext");
    match context.map(|(_, value)| value) {
        Some("1") => data.string("context", "sedentary"),
        Some("2") => data.string("context", "active"),
        Some(_) | None => {}
    }
}

/// HealthKit knows foods, not meals.
fn nutrition(item: &Item, data: &mut Object<'_>) {
    data.string("level", "food");
    data.string("meal", "other");
    if let Some((_, food)) = item.metadata().find(|(key, _)| *key == "HKFoodType") {
        data.string("food_name", food);
    }
}

/// The beats of a heart rate variability, with the phone's clock as it is written: it has no date and
/// its form is that of a locale.
fn beats(item: &Item, data: &mut Object<'_>) {
    let mut beats = item
        .children()
        .filter(|tag| tag.element == Element::Beat)
        .peekable();
    if beats.peek().is_none() {
        return;
    }
    data.list("beats", |list| {
        for beat in beats.take(BEATS) {
            let Some(Ok(bpm)) = beat.get("bpm").map(number) else {
                continue;
            };
            list.object(|object| {
                object.number("bpm", bpm);
                object.string("time", beat.get("time").unwrap_or_default());
            });
        }
    });
}

/// `WalkingSpeed` as `walking_speed`, `UVExposure` as `uv_exposure`.
pub(super) fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut characters = name.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(character) = characters.next() {
        if character.is_uppercase() {
            let word_ended = before.is_some_and(|b| b.is_lowercase() || b.is_ascii_digit());
            let word_begins = characters.peek().is_some_and(|next| next.is_lowercase());
            if word_ended || (word_begins && before.is_some_and(|b| b != '_')) {
                out.push('_');
            }
        }
        out.extend(character.to_lowercase());
        before = Some(character);
    }
    out
}

/// A quantity with a unified model of its own.
#[derive(Clone, Copy, Debug)]
struct Known {
    model: &'static str,
    field: &'static str,
    unit: Unit,
}

/// The quantities with a model of their own. Distances and nutrients are found by their prefix.
fn known(name: &str) -> Option<Known> {
    let (model, field, unit) = match name {
        "HeartRate" => ("heart_rate", "bpm", Unit::PerMinute),
        "ActiveEnergyBurned" => ("energy", "active_kcal", Unit::Kilocalories),
        "BasalEnergyBurned" => ("energy", "basal_kcal", Unit::Kilocalories),
        "StepCount" => ("steps", "count", Unit::Count),
        "FlightsClimbed" => ("floors", "count", Unit::Count),
        "RestingHeartRate" => ("resting_heart_rate", "value", Unit::PerMinute),
        "HeartRateVariabilitySDNN" => ("hrv_sdnn", "value", Unit::Milliseconds),
        "OxygenSaturation" => ("oxygen_saturation", "fraction", Unit::Fraction),
        "RespiratoryRate" => ("respiratory_rate", "value", Unit::PerMinute),
        "BodyMass" => ("body_weight", "value", Unit::Kilograms),
        "Height" => ("height", "value", Unit::Metres),
        "BodyFatPercentage" => ("body_fat", "value", Unit::Fraction),
        "BodyMassIndex" => ("bmi", "value", Unit::BodyMassIndex),
        "LeanBodyMass" => ("lean_mass", "value", Unit::Kilograms),
        "AppleExerciseTime" => ("exercise_time", "value", Unit::Seconds),
        "VO2Max" => ("vo2max", "value", Unit::OxygenUptake),
        "DietaryWater" => ("hydration", "liters", Unit::Litres),
        "DietaryEnergyConsumed" => ("nutrition_entry", "energy_kcal", Unit::Kilocalories),
        _ => return None,
    };
    Some(Known { model, field, unit })
}
