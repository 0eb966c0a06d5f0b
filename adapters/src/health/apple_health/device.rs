//! The `device` attribute: `<<HKDevice: 0x282a45810>, name:Apple Watch, …, hardware:Watch2,4, …>`.
//!
//! It begins with an address in the memory of the phone that made the export, so it differs in each
//! export and is never compared or hashed as it is. Its values hold commas themselves.

/// The fields that are written, in any order.
const FIELDS: [&str; 9] = [
    "name",
    "manufacturer",
    "model",
    "hardware",
    "firmware",
    "software",
    "localIdentifier",
    "UDIDeviceIdentifier",
    "creation date",
];

/// What is kept of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Device<'t> {
    pub(super) manufacturer: Option<&'t str>,
    /// The exact model (`Watch2,4`), or the family (`Watch`) if that is all there is.
    pub(super) model: Option<&'t str>,
    /// `watch`, `phone`, …
    pub(super) kind: Option<&'static str>,
}

impl<'t> Device<'t> {
    /// Reads the attribute. What cannot be read is left out.
    pub(super) fn parse(text: &'t str) -> Self {
        let body = text.split_once(">, ").map_or("", |(_, body)| body);
        let body = body.strip_suffix('>').unwrap_or(body);
        let (mut name, mut family, mut hardware) = (None, None, None);
        let mut device = Self::default();
        let mut rest = body;
        while let Some((field, after)) = field(rest) {
            let end = next_field(after);
            let (value, remaining) = after.split_at(end);
            rest = remaining.strip_prefix(", ").unwrap_or_default();
            let value = Some(value.trim()).filter(|value| !value.is_empty());
            match field {
                "name" => name = value,
                "manufacturer" => device.manufacturer = value,
                "model" => family = value,
                "hardware" => hardware = value,
                _ => {}
            }
        }
        device.model = hardware.or(family);
        device.kind = [family, hardware, name]
            .into_iter()
            .flatten()
            .find_map(kind);
        device
    }
}

/// The field that `text` begins with, and what follows its colon.
fn field(text: &str) -> Option<(&'static str, &str)> {
    FIELDS.into_iter().find_map(|field| {
        let value = text.strip_prefix(field)?.strip_prefix(':')?;
        Some((field, value))
    })
}

/// Where the value at the begin of `text` ends: before the next comma that a field follows.
fn next_field(text: &str) -> usize {
    text.match_indices(", ")
        .find(|(at, separator)| text.get(at + separator.len()..).and_then(field).is_some())
        .map_or(text.len(), |(at, _)| at)
}

fn kind(name: &str) -> Option<&'static str> {
    Some(if name.contains("Watch") {
        "watch"
    } else if name.contains("iPhone") {
        "phone"
    } else if name.contains("iPad") {
        "tablet"
    } else if name.contains("AirPods") {
        "earphones"
    } else if name.contains("Scale") || name.contains("scale") {
        "scale"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_devices_fields_are_read_although_values_hold_commas() {
        let watch = "<<HKDevice: 0x282a45810>, name:Apple Watch, manufacturer:Apple Inc., \
                     model:Watch, hardware:Watch2,4, software:4.3.1>";
        let expected = Device {
            manufacturer: Some("Apple Inc."),
            model: Some("Watch2,4"),
            kind: Some("watch"),
        };
        assert_eq!(Device::parse(watch), expected);
        let elsewhere = watch.replace("0x282a45810", "0x1");
        assert_eq!(Device::parse(&elsewhere), expected);
    }

    #[test]
    fn a_value_with_a_comma_and_a_space_is_whole() {
        let scale = "<<HKDevice: 0x1>, name:Scale, the second, manufacturer:Foo, Bar, Ltd., \
                     model:Body Scale, creation date:2023-11-02 15:43:17 +0000>";
        let device = Device::parse(scale);
        assert_eq!(device.manufacturer, Some("Foo, Bar, Ltd."));
        assert_eq!(device.model, Some("Body Scale"));
        assert_eq!(device.kind, Some("scale"));
    }

    #[test]
    fn a_broken_device_gives_what_there_is() {
        assert_eq!(Device::parse(""), Device::default());
        assert_eq!(Device::parse("<<HKDevice: 0x1>>"), Device::default());
        assert_eq!(Device::parse("garbage, name:x"), Device::default());
        assert_eq!(
            Device::parse("<<HKDevice: 0x1>, name:iPhone").kind,
            Some("phone")
        );
    }
}
