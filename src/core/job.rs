//! A job, one of its two endpoints, and the pair of both: an entry.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The id of a DRS job.
///
/// Ids look like UUIDs, but the vendor's own samples have letters past `f`
/// (`25df459d-a37c-41b9-bc2b-8c00ba32jb52`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Box<str>);

impl JobId {
    /// Accepts 1 to 64 ASCII letters, digits and dashes: anything else could change the address of
    /// a request or the meaning of an entry's name.
    pub fn parse(text: &str) -> Result<Self, InvalidJobId> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
            return Err(InvalidJobId);
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn has_usual_shape(&self) -> bool {
        Self::is_usual_shape(&self.0)
    }

    /// Returns whether `text` has the shape of every id seen so far: groups of 8, 4, 4, 4 and 12
    /// lower-case letters or digits.
    pub fn is_usual_shape(text: &str) -> bool {
        let groups: Vec<&str> = text.split('-').collect();
        groups.len() == 5
            && groups.iter().zip([8, 4, 4, 4, 12]).all(|(group, len)| {
                group.len() == len
                    && group
                        .bytes()
                        .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
            })
    }
}

impl Serialize for JobId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(|InvalidJobId| serde::de::Error::custom("not a job id"))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Joins the first items and says how many more there are.
pub fn some_of<T: fmt::Display>(items: &[T], most: usize) -> String {
    let first: Vec<String> = items.iter().take(most).map(T::to_string).collect();
    match items.len().saturating_sub(most) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Does not contain the text, which may be a misplaced password.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidJobId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    Source,
    Destination,
}

impl Endpoint {
    pub const ALL: [Self; 2] = [Self::Source, Self::Destination];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The unit of planning, sending and recording; written as `<job id>/source` or `<job
/// id>/destination`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    pub job: JobId,
    pub endpoint: Endpoint,
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.endpoint)
    }
}

impl FromStr for EntryKey {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        let (job, endpoint) = text.rsplit_once('/').ok_or(InvalidJobId)?;
        let endpoint = Endpoint::parse(endpoint).ok_or(InvalidJobId)?;
        Ok(Self {
            job: JobId::parse(job)?,
            endpoint,
        })
    }
}

impl Serialize for EntryKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntryKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|InvalidJobId| serde::de::Error::custom("not the name of an entry"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_documentation_are_taken_and_have_the_usual_shape() {
        for id in [
            "25df459d-a37c-41b9-bc2b-8c00ba32jb52",
            "6513270e-269e-0d37-f2a7-4de452e6jbb4",
        ] {
            assert!(JobId::parse(id).is_ok_and(|job| job.has_usual_shape()));
        }
    }

    #[test]
    fn odd_ids_are_taken_unless_they_could_change_an_address() {
        assert!(JobId::parse("72904e81").is_ok_and(|job| !job.has_usual_shape()));
        for id in ["", " ", "a/b", "a b", "a?b", "..", "id\n", "ü"] {
            assert_eq!(JobId::parse(id), Err(InvalidJobId), "{id:?}");
        }
    }

    #[test]
    fn an_entry_key_reads_what_it_writes() {
        let key: EntryKey = "25df459d-a37c-41b9-bc2b-8c00ba32jb52/destination"
            .parse()
            .expect("a key");
        assert_eq!(key.endpoint, Endpoint::Destination);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!("x/target".parse::<EntryKey>().is_err());
    }
}
