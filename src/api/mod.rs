//! The client of the service: how a batch becomes a request and an answer
//! becomes a [`Reply`](crate::core::outcome::Reply).
//!
//! It owns every word of HTTP and of the service's JSON, and refuses to let one
//! of them out: what leaves is a reply in the words of the domain and notes that
//! are ready to be shown. Bodies and headers are never logged.

pub mod auth;
pub mod client;
pub(crate) mod codes;
pub mod error;
pub mod gate;
mod judge;
pub mod note;
mod received;
mod retry;
pub mod secrets;
mod wire;
