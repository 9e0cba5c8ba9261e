//! Errors in words, and the words that several of them share.

use crate::core::address::Unmatched;

/// The addresses that name nothing, by their place on the command line.
pub(super) fn unmatched(addresses: &[Unmatched]) -> String {
    let named: Vec<String> = addresses
        .iter()
        .map(|address| format!("address {} of {}", address.number, address.option))
        .collect();
    format!("{} names no entry", named.join(", "))
}

/// An error with everything that led to it, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
