//! Writes a record's `data` straight into a buffer. A connector that reads millions of records must
//! not build a tree for each.
//!
//! What is written is always one valid JSON value: names and strings are escaped, numbers are finite.

use std::io::Write;

/// An object that is being written.
#[derive(Debug)]
pub struct Object<'b> {
    out: &'b mut Vec<u8>,
    empty: bool,
}

/// Writes one object at the end of `out`. Answers what `fill` answers.
pub fn object<R>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>) -> R) -> R {
    out.push(b'{');
    let mut object = Object { out, empty: true };
    let answer = fill(&mut object);
    object.out.push(b'}');
    answer
}

impl Object<'_> {
    fn name(&mut self, name: &str) {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
        string(self.out, name);
        self.out.push(b':');
    }

    /// A text.
    pub fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        string(self.out, value);
    }

    /// A number; whole ones without a fraction. One that JSON cannot say (infinite, not a number)
    /// becomes `null`.
    pub fn number(&mut self, name: &str, value: f64) {
        self.name(name);
        number(self.out, value);
    }

    /// A whole number.
    pub fn integer(&mut self, name: &str, value: i64) {
        self.name(name);
        integer(self.out, value);
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// An object within.
    pub fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        object(self.out, fill);
    }

    /// A list within.
    pub fn list(&mut self, name: &str, fill: impl FnOnce(&mut List<'_>)) {
        self.name(name);
        self.out.push(b'[');
        let mut list = List {
            out: self.out,
            empty: true,
        };
        fill(&mut list);
        list.out.push(b']');
    }
}

/// A list that is being written.
#[derive(Debug)]
pub struct List<'b> {
    out: &'b mut Vec<u8>,
    empty: bool,
}

impl List<'_> {
    fn next(&mut self) {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
    }

    /// A text.
    pub fn string(&mut self, value: &str) {
        self.next();
        string(self.out, value);
    }

    /// An object.
    pub fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) {
        self.next();
        object(self.out, fill);
    }
}

fn string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let mut rest = value.as_bytes();
    // Runs without anything to escape are copied whole; in practice that is all of the text.
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
    {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        if let Some((byte, after)) = special.split_first() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                control => print(out, format_args!("\\u{control:04x}")),
            }
            rest = after;
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn integer(out: &mut Vec<u8>, value: i64) {
    print(out, format_args!("{value}"));
}

/// Whole numbers up to here are exact in an `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn number(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
    } else if value.fract() == 0.0 && value.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        integer(out, value as i64);
    } else if serde_json::to_writer(&mut *out, &value).is_err() {
        // Unreachable for a finite number and a buffer in memory; still JSON.
        out.extend_from_slice(b"null");
    }
}

fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fill: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = Vec::new();
        object(&mut out, fill);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_object_reads_back_as_it_was_written() {
        let text = written(|o| {
            o.string("a", "x");
            o.number("b", 612.0);
            o.number("c", 71.395_439);
            o.integer("d", -3);
            o.boolean("e", true);
            o.object("f", |f| f.number("g", 0.5));
            o.list("h", |h| {
                h.string("i");
                h.object(|j| j.integer("k", 1));
                h.object(|_| ());
            });
        });
        assert_eq!(
            text,
            r#"{"a":"x","b":612,"c":71.395439,"d":-3,"e":true,"f":{"g":0.5},"h":["i",{"k":1},{}]}"#
        );
    }

    #[test]
    fn every_character_survives_the_escaping() {
        let nasty: String = (0..0x80)
            .map(char::from)
            .chain("é\u{2028}😀\\\"".chars())
            .collect();
        let text = written(|o| o.string(&nasty, &nasty));
        let read: std::collections::BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
        assert_eq!(read.get(&nasty), Some(&nasty));
    }

    #[test]
    fn numbers_that_json_lacks_become_null_and_large_ones_stay_numbers() {
        assert_eq!(written(|o| o.number("a", f64::NAN)), r#"{"a":null}"#);
        assert_eq!(written(|o| o.number("a", f64::INFINITY)), r#"{"a":null}"#);
        let text = written(|o| o.number("a", 1e300));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, serde_json::json!({"a": 1e300}));
    }
}
