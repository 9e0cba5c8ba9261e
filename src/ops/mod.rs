//! One module for each thing that drspass does: adapters in order, the domain
//! in between. Use cases print nothing and parse no arguments; what there is to
//! say comes back as a report or through an event callback.

pub mod apply;
pub mod edit;
pub mod encrypt;
pub mod error;
pub mod import;
pub mod init;
pub mod jobs;
pub mod ledger;
pub mod online;
pub mod own;
pub mod plan;
pub mod recipients;
pub mod rekey;
pub mod rewrite;
pub mod root;
pub mod saved;
pub mod set;
pub mod show;
pub mod textconv;
pub mod validate;

pub use error::OpError;
