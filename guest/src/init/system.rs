//! What running containers takes.

use std::time::Duration;

use super::daemon::Daemon;
use super::network::Network;
use super::processes::Processes;
use crate::containerd::Client;
use crate::m5::Simulator;

/// What starting and stopping containers takes.
pub struct System<'a> {
    /// containerd's API.
    pub client: Client,
    /// containerd's process.
    pub daemon: &'a Daemon,
    /// The processes of init.
    pub processes: &'a mut Processes,
    /// The containers' network.
    pub network: Network,
    /// Who is told how far the guest has come.
    pub simulator: Simulator,
    /// How long each thing may take that is waited for.
    pub limit: Duration,
}
