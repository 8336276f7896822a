//! The guest's own network, host name and loopback device, and that of containers.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::bridge;
use super::processes::Processes;
use super::Failure;
use crate::cni::{self, Attachment, Call};
use crate::netlink::{Netlink, LOOPBACK};
use crate::sys;

/// What goes into a plugin, and what comes out. In files, so that no plugin can keep init waiting at a pipe.
const INPUT: &str = "/run/vsbuild/cni-input";
const OUTPUT: &str = "/run/vsbuild/cni-output";

/// Brings it up. containerd's CRI plugin listens on the loopback address and takes the daemon down if it's missing.
pub fn up(hostname: &str) -> Result<(), Failure> {
    sys::set_hostname(hostname).map_err(Failure::doing("setting the host name"))?;
    Netlink::open()
        .and_then(|here| here.up(LOOPBACK, None))
        .map_err(Failure::doing("bringing up the loopback device"))
}

/// The containers' network: who makes it, and what is there of it.
pub struct Network {
    maker: Maker,
    /// How many containers are on it.
    attached: u8,
}

/// Who makes networks.
enum Maker {
    /// This program.
    Init,
    /// The plugins of the image's list: its text.
    Cni(String),
}

impl Network {
    /// Of this guest: made by CNI plugins if there is a list of them.
    pub fn of_guest() -> Result<Network, Failure> {
        let maker = match fs::read_to_string(cni::LIST) {
            Ok(list) => Maker::Cni(list),
            Err(error) if error.kind() == ErrorKind::NotFound => Maker::Init,
            Err(error) => return Err(Failure::doing(cni::LIST)(error)),
        };
        Ok(Network { maker, attached: 0 })
    }

    /// Gives a container its network; gives its own address, and the one at which it is called from the guest. What is waited
    /// for may take as long as `limit`.
    pub fn attach(
        &mut self,
        attachment: &Attachment,
        limit: Duration,
        processes: &mut Processes,
    ) -> Result<(Ipv4Addr, Ipv4Addr), Failure> {
        match &self.maker {
            Maker::Init => {
                let address =
                    bridge::attach(self.attached, attachment.pid).map_err(Failure::Guest)?;
                self.attached += 1;
                Ok((address, address))
            }
            Maker::Cni(list) => {
                let run = |call: &Call| plugin(call, limit, processes);
                let address = cni::attach(list, attachment, run).map_err(Failure::Guest)?;
                Ok((address, Ipv4Addr::LOCALHOST))
            }
        }
    }
}

/// Runs a plugin to its end; gives what it wrote.
fn plugin(call: &Call, limit: Duration, processes: &mut Processes) -> Result<Vec<u8>, String> {
    let program = &*call.program;
    let file = |error| format!("{program}: {error}");
    fs::write(INPUT, &call.input).map_err(file)?;
    let (input, output) = (File::open(INPUT).map_err(file)?, File::create(OUTPUT).map_err(file)?);

    let mut command = Command::new(program);
    // What Go says when it panics is best seen on the console.
    command.stdin(input).stdout(output).stderr(Stdio::inherit());
    let environment = call.environment.iter().map(|(name, value)| (*name, &**value));
    let child = processes.start_with(&mut command, environment).map_err(|why| why.to_string())?;
    let pid = child.id() as i32;

    let code = processes.wait(pid, sys::uptime() + limit);
    let output = fs::read(OUTPUT).map_err(file)?;
    match code {
        Some(0) => Ok(output),
        Some(code) => Err(format!("{program} ended with code {code}: {}", cni::complaint(&output))),
        None => {
            sys::signal(pid, sys::Signal::Kill);
            Err(format!("{program} did not end within {} s of guest time", limit.as_secs()))
        }
    }
}
