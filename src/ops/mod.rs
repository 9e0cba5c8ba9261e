//! One module for each thing that drspass does: adapters in order, the domain
//! in between. Use cases print nothing and parse no arguments; what there is to
//! say comes back as a report or through an event callback.

pub mod apply;
pub mod compare;
pub mod edit;
pub mod encrypt;
pub mod error;
pub mod git;
pub mod init;
pub mod inspect;
pub mod jobs;
pub mod ledger;
pub mod online;
pub mod plan;
pub mod rekey;
pub mod rewrite;
pub mod root;

pub use error::OpError;
