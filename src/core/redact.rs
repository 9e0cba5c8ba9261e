//! Cleaning of text that somebody else wrote.
/// A cleaned machine token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(String);
/// Cleaned text for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignText(String);
