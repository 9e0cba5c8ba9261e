//! The client of the service and of its identity service: how a batch or a question
//! becomes a request, and what the answer means in the words of the domain.
//!
//! What leaves is a [`BatchReply`](crate::core::outcome::BatchReply), facts about jobs, an error, and
//! words of the service that are cleaned and searched for secrets: no type of HTTP or of
//! its JSON. Bodies and headers are never logged.

pub mod auth;
pub mod client;
mod codes;
pub mod connection;
pub mod error;
pub mod exchange;
pub mod gate;
pub mod http;
pub mod job_wire;
pub mod jobs;
pub mod judge;
pub mod secrets;
pub mod survey;
mod wire;
