//! Turns reports into text. A view sees reports only: it cannot reach a secret, a file or the
//! service.

pub mod ci;
pub mod entry;
pub mod json_v1;
pub mod listing;
pub mod markdown;
pub mod recipients;
pub mod text;
