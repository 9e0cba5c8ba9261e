//! The client of the service and of its identity service: it turns batches and queries into
//! requests, and answers into the domain's terms.
//!
//! It returns a [`BatchReply`](crate::core::outcome::BatchReply), facts about jobs, errors, and words of
//! the service without secrets: no type of HTTP or of its JSON. Bodies and headers are never logged.

pub mod auth;
pub mod client;
mod codes;
pub mod error;
pub mod exchange;
pub mod gate;
pub mod http;
pub mod job_wire;
pub mod jobs;
pub mod judge;
pub mod secrets;
pub mod survey;
pub mod tls;
mod wire;
