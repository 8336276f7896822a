//! The guest's own network: host name and loopback device.

use super::Failure;
use crate::sys;

/// Brings it up. containerd's CRI plugin listens on the loopback address and takes the daemon down if it's missing.
pub fn up(hostname: &str) -> Result<(), Failure> {
    sys::set_hostname(hostname).map_err(Failure::doing("setting the host name"))?;
    sys::loopback_up().map_err(Failure::doing("bringing up the loopback device"))
}
