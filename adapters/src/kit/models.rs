//! The unified models: what `data` holds in each, in which unit. A connector fills only models of this
//! list, and its manifest names them; the catalogue's tests check both.
//!
//! Every `data` of a health record may also hold `metadata`: what the platform says besides, as it came.

/// A unified model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// As in a record's `model`.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// The fields of `data`; `?` marks those that may be absent.
    pub fields: &'static str,
}

const fn model(name: &'static str, about: &'static str, fields: &'static str) -> Model {
    Model {
        name,
        about,
        fields,
    }
}

/// Every model, by name.
pub const MODELS: &[Model] = &[
    model(
        "activity_summary",
        "A day's goals and how far they were met.",
        "active_kcal?, active_goal_kcal?, move_s?, move_goal_s?, exercise_s?, exercise_goal_s?, \
         stand_hours?, stand_goal_hours?",
    ),
    model(
        "audiogram",
        "A hearing test.",
        "the platform's attributes, times in UTC",
    ),
    model("bmi", "Body mass index.", "value, unit (kg/m2)"),
    model(
        "body_fat",
        "Share of fat in the body.",
        "value (0 to 1), unit (fraction)",
    ),
    model("body_weight", "Weight.", "value, unit (kg)"),
    model(
        "category_sample",
        "A sample that is one of several words.",
        "name, value?",
    ),
    model(
        "clinical_record",
        "A reference to a clinical document.",
        "the platform's attributes",
    ),
    model(
        "correlation",
        "Samples that belong together; they are records of their own.",
        "name",
    ),
    model("distance", "Way covered.", "meters, activity"),
    model("energy", "Energy burned.", "active_kcal? or basal_kcal?"),
    model(
        "exercise_time",
        "Time of brisk activity.",
        "value, unit (s)",
    ),
    model("floors", "Floors climbed.", "count"),
    model(
        "heart_rate",
        "Heart rate.",
        "bpm, context? (sedentary, active)",
    ),
    model("height", "Height.", "value, unit (m)"),
    model(
        "hrv_sdnn",
        "Heart rate variability.",
        "value, unit (ms), beats? [{bpm, time}]",
    ),
    model("hydration", "Water drunk.", "liters"),
    model("lean_mass", "Body mass without fat.", "value, unit (kg)"),
    model(
        "measure",
        "A quantity without a model of its own.",
        "name, value, unit (as it came)",
    ),
    model(
        "nutrition_entry",
        "Something eaten.",
        "level, meal, food_name?, energy_kcal?, nutrients? {name: {value, unit}}",
    ),
    model(
        "oxygen_saturation",
        "Oxygen in the blood.",
        "fraction (0 to 1)",
    ),
    model(
        "profile",
        "The person.",
        "date_of_birth?, biological_sex?, blood_type?, fitzpatrick_skin_type?, \
         cardio_fitness_medications_use?",
    ),
    model(
        "respiratory_rate",
        "Breaths a minute.",
        "value, unit (count/min)",
    ),
    model(
        "resting_heart_rate",
        "Heart rate at rest.",
        "value, unit (count/min)",
    ),
    model(
        "sandbox_item",
        "An item of the sandbox.",
        "title, body, amount, tags",
    ),
    model(
        "sleep_session",
        "A night or a nap.",
        "asleep_s?, in_bed_s?, awake_s?, light_s?, deep_s?, rem_s?, \
         stages [{stage, start_us, end_us}]",
    ),
    model(
        "sleep_stage",
        "A stretch of sleep, or of lying awake.",
        "stage (in_bed, awake, light, deep, rem, asleep_unspecified)",
    ),
    model("steps", "Steps.", "count"),
    model(
        "vision_prescription",
        "Glasses or lenses.",
        "the platform's attributes, times in UTC",
    ),
    model("vo2max", "Cardio fitness.", "value, unit (mL/(kg*min))"),
    model(
        "workout",
        "A workout.",
        "activity_type, native_type, elapsed_s, moving_s?, distance_m?, active_kcal?, basal_kcal?, \
         hr_avg?, hr_min?, hr_max?, steps?, floors?, elev_gain_m?, \
         statistics? [{name, sum?, average?, minimum?, maximum?, unit}], \
         events? [{type, start_us?, duration_s?}], \
         activities? [{native_id?, start_us?, end_us?, duration_s?}], route_refs? [path]",
    ),
];
