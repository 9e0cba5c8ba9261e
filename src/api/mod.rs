//! The client of the service and of its identity service: how a batch or a question
//! becomes a request, and what the answer means in the words of the domain.
//!
//! It owns HTTP, the JSON of both services and their error codes, and refuses to let
//! their types out: what leaves is a [`Reply`](crate::core::outcome::Reply), facts
//! about jobs, an error, and words of the service that are cleaned and searched for
//! secrets. Bodies and headers are never logged.

pub mod auth;
pub mod certificates;
pub mod client;
mod codes;
pub mod error;
mod exchange;
pub mod foreign;
pub mod gate;
mod identity;
pub mod jobs;
mod judge;
pub mod note;
mod received;
mod retry;
pub mod secrets;
mod tally;
mod transport;
mod wire;
