//! An object of addresses, each with a password or with an object of fields. Keys
//! that stand twice are kept apart, so that they can be refused.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use zeroize::Zeroizing;

use super::{Row, capped, field_of, unknown_field};
use crate::core::fingerprint::Field;
use crate::core::problem::Problem;
use crate::core::secret::Secret;

/// Pairs of an object in their order.
struct Pairs<T>(Vec<(Zeroizing<String>, T)>);

/// What stands at an address.
enum Cell {
    Password(Secret),
    Fields(Pairs<Text>),
}

/// A text and nothing else.
struct Text(Secret);

/// The rows of a text.
/// Fails where it is not JSON, or not of this form.
pub(super) fn rows(text: &str) -> Result<Vec<Row>, Vec<Problem>> {
    let pairs: Pairs<Cell> = serde_json::from_str(text).map_err(|error| vec![refused(&error)])?;
    let mut problems = Vec::new();
    let mut rows = Vec::new();
    for ((address, cell), number) in pairs.0.into_iter().zip(1..) {
        let at = format!("entry {number}");
        match cell {
            Cell::Password(value) => rows.push(Row {
                at,
                address,
                field: Field::Password,
                value,
            }),
            Cell::Fields(fields) => {
                for (name, Text(value)) in fields.0 {
                    match field_of(&name) {
                        Some(field) => rows.push(Row {
                            at: at.clone(),
                            address: address.clone(),
                            field,
                            value,
                        }),
                        None => problems.push(unknown_field(at.clone())),
                    }
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(rows)
    } else {
        Err(capped(problems))
    }
}

/// The parser's own words may hold a value.
fn refused(error: &serde_json::Error) -> Problem {
    let what = match error.classify() {
        Category::Data => "is not an object of addresses with texts",
        Category::Syntax | Category::Eof | Category::Io => "is not valid JSON",
    };
    // Its column is where a value ends, which would tell how long that is.
    let at = format!("line {}", error.line());
    let help = "Write {\"ADDRESS\": \"password\"}, or {\"ADDRESS\": {\"password\": \"…\", \"kerberos.domain_name\": \"…\"}}.";
    Problem::error(at, None, what, help)
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Of<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Of<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                pairs(map)
            }
        }
        deserializer.deserialize_map(Of(std::marker::PhantomData))
    }
}

fn pairs<'de, T: Deserialize<'de>, A: MapAccess<'de>>(mut map: A) -> Result<Pairs<T>, A::Error> {
    let mut pairs = Vec::new();
    while let Some((key, value)) = map.next_entry::<String, T>()? {
        pairs.push((Zeroizing::new(key), value));
    }
    Ok(Pairs(pairs))
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Cell;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an object")
            }

            fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
                Ok(Cell::Password(Secret::new(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Cell, E> {
                Ok(Cell::Password(Secret::new(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Cell, A::Error> {
                pairs(map).map(Cell::Fields)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}
