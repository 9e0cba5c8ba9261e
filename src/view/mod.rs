//! Turning reports into text. A view sees reports and nothing else: it cannot
//! reach a secret, a file or the service.

pub mod ci;
pub mod diff;
pub mod inventory;
pub mod json;
pub mod listing;
pub mod markdown;
pub mod recipients;
pub mod terminal;
pub mod textconv;
pub mod wrap;
