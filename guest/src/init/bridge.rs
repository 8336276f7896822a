//! The containers' network as init makes it itself: a bridge, and a cable from it into each container.
//!
//! CNI plugins would make the same: four programs in Go and some runs of `iptables` for each container, which is more than
//! everything else that starting one takes. No port is published; a container is called at its own address.

use std::io;
use std::net::Ipv4Addr;
use std::thread;

use crate::netlink::{Mac, Netlink, LOOPBACK};
use crate::sys;

/// The network: 10.88.0.0/24, the guest first, then containers in the order of their start.
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
const PREFIX: u8 = 24;
/// As many containers as it has room for.
const MOST: u8 = 253;
/// What the bridge is called, and a container's end of its cable.
const BRIDGE: &str = "vsbuild0";
const INSIDE: &str = "eth0";

/// Connects the container of a process, of which there are `others` already; gives its address, or says what failed.
pub fn attach(others: u8, pid: i32) -> Result<Ipv4Addr, String> {
    if others >= MOST {
        return Err(format!("there are no addresses for more than {MOST} containers"));
    }
    let here = Netlink::open().map_err(while_doing("opening rtnetlink"))?;
    if others == 0 {
        here.add_bridge(BRIDGE, &mac(GUEST)).map_err(while_doing("making the bridge"))?;
        here.add_address(BRIDGE, GUEST, PREFIX).map_err(while_doing("the bridge's address"))?;
        here.up(BRIDGE, None).map_err(while_doing("bringing up the bridge"))?;
    }
    let [a, b, c, d] = GUEST.octets();
    let address = Ipv4Addr::new(a, b, c, d + 1 + others);
    let cable = format!("veth{others}");
    here.add_cable(&cable, INSIDE, &mac(address), pid).map_err(while_doing("making a cable"))?;
    here.up(&cable, Some(BRIDGE)).map_err(while_doing("connecting a cable to the bridge"))?;
    // A thread is in a namespace of its own as long as it lives.
    match thread::spawn(move || set_up_inside(pid, address)).join() {
        Ok(result) => result.map(|()| address),
        Err(_) => Err("the thread in the container's network panicked".to_owned()),
    }
}

fn set_up_inside(pid: i32, address: Ipv4Addr) -> Result<(), String> {
    sys::enter_network_of(pid).map_err(while_doing("entering the container's network"))?;
    let inside = Netlink::open().map_err(while_doing("opening rtnetlink in it"))?;
    inside.up(LOOPBACK, None).map_err(while_doing("bringing up its loopback device"))?;
    inside.add_address(INSIDE, address, PREFIX).map_err(while_doing("its address"))?;
    inside.up(INSIDE, None).map_err(while_doing("bringing up its device"))?;
    inside.add_default_route(GUEST).map_err(while_doing("its route"))
}

/// What failed, before why.
fn while_doing(what: &'static str) -> impl Fn(io::Error) -> String {
    move |error| format!("a container's network: {what}: {error}")
}

/// The hardware address that goes with an address, so that no two starts differ: locally administered.
fn mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}
