//! Deserialising with errors that are values: which field, and what is wrong with it. `serde_json`'s own
//! errors are text, and repeat what the caller sent; these never do.

use std::{collections::btree_map, fmt};

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
        Visitor,
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

/// A value that is not what the field takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// From the innermost outwards.
    path: Vec<String>,
    message: String,
}

impl Invalid {
    fn new(message: impl Into<String>) -> Self {
        Self {
            path: vec![],
            message: message.into(),
        }
    }

    fn within(mut self, step: impl Into<String>) -> Self {
        self.path.push(step.into());
        self
    }

    /// The field as `outer.inner`, and what is wrong with it.
    pub(crate) fn into_parts(mut self) -> (String, String) {
        self.path.reverse();
        (self.path.join("."), self.message)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Invalid {}

/// What kind of value came, without the value.
fn kind(unexpected: &Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
        Unexpected::Float(_) => "a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map | Unexpected::NewtypeStruct => "an object",
        Unexpected::Bytes(_)
        | Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant
        | Unexpected::StructVariant
        | Unexpected::Other(_) => "something else",
    }
}

impl de::Error for Invalid {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, got {}", kind(&unexpected)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("out of range: expected {expected}"))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, got {length} elements"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("expected one of {}", expected.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        // The name is the caller's: shown, but not at any length.
        let name: String = field.chars().take(64).collect();
        Self::new(format!("unknown; known here are {}", expected.join(", "))).within(name)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("required").within(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new("given twice").within(field)
    }
}

/// A JSON value.
pub(super) struct Json(pub(super) Value);

impl<'de> Deserializer<'de> for Json {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => {
                if let Some(value) = number.as_u64() {
                    visitor.visit_u64(value)
                } else if let Some(value) = number.as_i64() {
                    visitor.visit_i64(value)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Value::String(value) => visitor.visit_string(value),
            Value::Array(values) => visitor.visit_seq(Elements {
                values: values.into_iter(),
                index: 0,
            }),
            Value::Object(fields) => visitor.visit_map(Fields {
                fields: fields.into_iter(),
                value: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        match self.0 {
            Value::String(variant) => {
                let variant: de::value::StringDeserializer<Invalid> = variant.into_deserializer();
                variant.deserialize_enum(name, variants, visitor)
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => Err(Invalid::new(format!(
                "expected one of {}",
                variants.join(", ")
            ))),
        }
    }

    /// Objects only: serde would read an array as a struct, field by field.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        let got = match self.0 {
            Value::Object(_) => return self.deserialize_any(visitor),
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(value),
            Value::Number(_) => Unexpected::Unsigned(0),
            Value::String(_) => Unexpected::Str(""),
            Value::Array(_) => Unexpected::Seq,
        };
        Err(Invalid::new(format!(
            "expected an object, got {}",
            kind(&got)
        )))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Elements {
    values: std::vec::IntoIter<Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Elements {
    type Error = Invalid;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Invalid> {
        let Some(value) = self.values.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Json(value))
            .map(Some)
            .map_err(|invalid| invalid.within(index.to_string()))
    }
}

struct Fields<I, V> {
    fields: I,
    value: Option<(String, V)>,
}

impl<'de, I, V> MapAccess<'de> for Fields<I, V>
where
    I: Iterator<Item = (String, V)>,
    V: IntoStrict<'de>,
{
    type Error = Invalid;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Invalid> {
        let Some((name, value)) = self.fields.next() else {
            return Ok(None);
        };
        self.value = Some((name.clone(), value));
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Invalid> {
        let (name, value) = self
            .value
            .take()
            .ok_or_else(|| Invalid::new("a value without a key"))?;
        seed.deserialize(value.strict())
            .map_err(|invalid| invalid.within(name))
    }
}

/// What a field's value is read with.
trait IntoStrict<'de> {
    type Strict: Deserializer<'de, Error = Invalid>;

    fn strict(self) -> Self::Strict;
}

impl<'de> IntoStrict<'de> for Value {
    type Strict = Json;

    fn strict(self) -> Json {
        Json(self)
    }
}

impl<'de> IntoStrict<'de> for String {
    type Strict = Text;

    fn strict(self) -> Text {
        Text(self)
    }
}

/// The parameters of a query.
pub(super) struct Parameters(pub(super) btree_map::IntoIter<String, String>);

impl<'de> Deserializer<'de> for Parameters {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_map(Fields {
            fields: self.0,
            value: None,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any option
        enum
    }
}

/// One parameter's text, read as what its field is.
struct Text(String);

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty = $expected:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Invalid::new(concat!("expected ", $expected))),
            }
        }
    )+};
}

impl<'de> Deserializer<'de> for Text {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        let variant: de::value::StringDeserializer<Invalid> = self.0.into_deserializer();
        variant.deserialize_enum(name, variants, visitor)
    }

    parsed! {
        deserialize_bool visit_bool bool = "true or false";
        deserialize_u8 visit_u64 u64 = "a whole number";
        deserialize_u16 visit_u64 u64 = "a whole number";
        deserialize_u32 visit_u64 u64 = "a whole number";
        deserialize_u64 visit_u64 u64 = "a whole number";
        deserialize_i8 visit_i64 i64 = "a whole number";
        deserialize_i16 visit_i64 i64 = "a whole number";
        deserialize_i32 visit_i64 i64 = "a whole number";
        deserialize_i64 visit_i64 i64 = "a whole number";
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}
