//! Output for machines. Each version has its own frozen structures, apart from
//! the types of the domain, so that a change inside never changes what a
//! pipeline reads.

pub mod v1;
