//! Byte-reproducible disk images for full-system simulation of serverless functions.
//!
//! The rooms of the house, in the order in which an image comes to be. A room may use only rooms above it;
//! `tests/house.rs` holds which, and ARCHITECTURE.md tells the story.

pub mod digest;
pub mod path;
pub mod tree;
pub mod formats;
pub mod recipe;
pub mod lock;
pub mod trust;
pub mod plan;
pub mod store;
pub mod sandbox;
pub mod fetch;
pub mod remote;
pub mod cache;
pub mod project;
pub mod resolve;
pub mod realise;
pub mod run;
pub mod fitness;
pub mod report;
pub mod compare;
pub mod bill;
pub mod bundle;
pub mod serve;
pub mod cli;
