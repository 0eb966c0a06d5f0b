//! Units: what platforms write, in the one unit of each unified model. SI, or what the field accepts
//! beside it (kcal, litres, beats a minute).

/// The unit of a model's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// m.
    Metres,
    /// kg.
    Kilograms,
    /// kcal; 1 kcal = 4184 J.
    Kilocalories,
    /// L.
    Litres,
    /// s.
    Seconds,
    /// ms.
    Milliseconds,
    /// 0 to 1.
    Fraction,
    /// 1/min.
    PerMinute,
    /// kg/m².
    BodyMassIndex,
    /// mL/(kg·min).
    OxygenUptake,
}

impl Unit {
    /// As it stands beside a value.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Metres => "m",
            Self::Kilograms => "kg",
            Self::Kilocalories => "kcal",
            Self::Litres => "L",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Fraction => "fraction",
            Self::PerMinute => "count/min",
            Self::BodyMassIndex => "kg/m2",
            Self::OxygenUptake => "mL/(kg*min)",
        }
    }

    /// `value`, written in the unit `from`, in this unit; `None` if `from` is no unit of this kind, so
    /// that a caller keeps the value as it came instead of guessing.
    #[must_use]
    pub fn convert(self, value: f64, from: &str) -> Option<f64> {
        let factor = match self {
            Self::Count => (from == "count").then_some(1.0),
            Self::Metres => metres(from),
            Self::Kilograms => kilograms(from),
            Self::Kilocalories => kilocalories(from),
            Self::Litres => litres(from),
            Self::Seconds => seconds(from),
            Self::Milliseconds => seconds(from).map(|factor| factor * 1000.0),
            Self::Fraction => return fraction(value, from),
            Self::PerMinute => per_minute(from),
            Self::BodyMassIndex => matches!(from, "count" | "kg/m^2" | "kg/m²").then_some(1.0),
            Self::OxygenUptake => matches!(
                from,
                "mL/min·kg" | "mL/kg·min" | "ml/kg/min" | "mL/(kg*min)"
            )
            .then_some(1.0),
        }?;
        Some(scaled(value, factor))
    }
}

/// `value * factor` without the dust of binary fractions: 5.23 km are 5230 m. Millionths are below
/// what any device measures.
fn scaled(value: f64, factor: f64) -> f64 {
    #[expect(
        clippy::float_cmp,
        reason = "the factor is a literal; 1.0 means the same unit"
    )]
    let same = factor == 1.0;
    if same {
        return value;
    }
    let scaled = value * factor;
    let tidy = (scaled * 1e6).round() / 1e6;
    if tidy.is_finite() { tidy } else { scaled }
}

fn metres(from: &str) -> Option<f64> {
    Some(match from {
        "m" => 1.0,
        "km" => 1000.0,
        "cm" => 0.01,
        "mm" => 0.001,
        "mi" => 1609.344,
        "yd" => 0.9144,
        "ft" => 0.3048,
        "in" => 0.0254,
        _ => return None,
    })
}

fn kilograms(from: &str) -> Option<f64> {
    Some(match from {
        "kg" => 1.0,
        "g" => 0.001,
        "mg" => 1e-6,
        "lb" => 0.453_592_37,
        "st" => 6.350_293_18,
        "oz" => 0.028_349_523_125,
        _ => return None,
    })
}

/// `Cal` with a capital is the large calorie, a kilocalorie.
fn kilocalories(from: &str) -> Option<f64> {
    Some(match from {
        "kcal" | "Cal" => 1.0,
        "cal" => 0.001,
        "kJ" => 1.0 / 4.184,
        "J" => 1.0 / 4184.0,
        _ => return None,
    })
}

fn litres(from: &str) -> Option<f64> {
    Some(match from {
        "L" | "l" => 1.0,
        "dL" => 0.1,
        "mL" | "ml" => 0.001,
        "fl_oz_us" => 0.029_573_529_562_5,
        "fl_oz_imp" => 0.028_413_062_5,
        "cup_us" => 0.236_588_236_5,
        "cup_imp" => 0.284_130_625,
        "pt_us" => 0.473_176_473,
        "pt_imp" => 0.568_261_25,
        _ => return None,
    })
}

fn seconds(from: &str) -> Option<f64> {
    Some(match from {
        "s" | "sec" => 1.0,
        "ms" => 0.001,
        "min" => 60.0,
        "hr" | "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

fn per_minute(from: &str) -> Option<f64> {
    Some(match from {
        "count/min" | "bpm" => 1.0,
        "count/s" | "Hz" => 60.0,
        _ => return None,
    })
}

/// Platforms that write `%` beside a value mean a fraction of 1 (`HealthKit` always does). Above 1 it
/// can only be a percentage: nobody is 150 % fat.
fn fraction(value: f64, from: &str) -> Option<f64> {
    match from {
        "%" if value.abs() <= 1.0 => Some(value),
        "%" if value.abs() <= 100.0 => Some(scaled(value, 0.01)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_comes_out_in_the_models_own() {
        for (to, value, from, expected) in [
            (Unit::Count, 612.0, "count", 612.0),
            (Unit::Metres, 5.23, "km", 5230.0),
            (Unit::Metres, 3.1, "mi", 4988.9664),
            (Unit::Metres, 12.0, "m", 12.0),
            (Unit::Metres, 180.0, "cm", 1.8),
            (Unit::Metres, 5.9, "ft", 1.79832),
            (Unit::Metres, 71.0, "in", 1.8034),
            (Unit::Kilograms, 157.4, "lb", 71.395_439),
            (Unit::Kilograms, 11.0, "st", 69.853_225),
            (Unit::Kilograms, 71_400.0, "g", 71.4),
            (Unit::Kilograms, 71.4, "kg", 71.4),
            (Unit::Kilocalories, 418.4, "kJ", 100.0),
            (Unit::Kilocalories, 100.0, "Cal", 100.0),
            (Unit::Kilocalories, 1500.0, "cal", 1.5),
            (Unit::Kilocalories, 100.0, "kcal", 100.0),
            (Unit::Litres, 250.0, "mL", 0.25),
            (Unit::Litres, 8.0, "fl_oz_us", 0.236_588),
            (Unit::Seconds, 28.5, "min", 1710.0),
            (Unit::Seconds, 7.5, "hr", 27_000.0),
            (Unit::Milliseconds, 42.5, "ms", 42.5),
            (Unit::Milliseconds, 0.0425, "s", 42.5),
            (Unit::PerMinute, 62.0, "count/min", 62.0),
            (Unit::PerMinute, 1.1, "count/s", 66.0),
            (Unit::Fraction, 0.97, "%", 0.97),
            (Unit::Fraction, 97.0, "%", 0.97),
            (Unit::BodyMassIndex, 22.1, "count", 22.1),
            (Unit::OxygenUptake, 41.2, "mL/min·kg", 41.2),
        ] {
            assert_eq!(
                to.convert(value, from),
                Some(expected),
                "{value} {from} in {to:?}"
            );
        }
    }

    #[test]
    fn a_unit_of_another_kind_is_not_guessed() {
        for (to, from) in [
            (Unit::Metres, "kg"),
            (Unit::Kilograms, "count"),
            (Unit::Kilocalories, "kg"),
            (Unit::PerMinute, "count"),
            (Unit::Fraction, "count"),
            (Unit::Count, ""),
        ] {
            assert_eq!(to.convert(1.0, from), None, "{from} in {to:?}");
        }
        assert_eq!(Unit::Fraction.convert(250.0, "%"), None);
    }
}
