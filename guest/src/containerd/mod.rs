//! containerd's API.
pub mod message;
