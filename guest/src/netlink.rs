//! Network devices, through the kernel's rtnetlink: what `ip link`, `ip address` and `ip route` would be started for.
//!
//! Every request is for the network namespace of the thread that opened the socket, and is answered before the next one.
//! Messages: rtnetlink(7) and netlink(7); numbers: include/uapi/linux/{netlink,rtnetlink,if_link,if_addr,veth}.h.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use crate::sys;

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
/// What an answer is: an error number, zero for none.
const ERROR: u16 = 2;

const REQUEST: u16 = 0x1;
const ACKNOWLEDGE: u16 = 0x4;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

const LINK_ADDRESS: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const LINK_NAMESPACE_PID: u16 = 19;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const LOCAL: u16 = 2;
const BROADCAST: u16 = 4;
const GATEWAY: u16 = 5;

/// Length of the header of a message.
const HEADER: usize = 16;

/// The loopback device of every network namespace. Once it is up, the kernel gives it 127.0.0.1 by itself.
pub const LOOPBACK: &str = "lo";

/// A hardware address.
pub type Mac = [u8; 6];

/// A socket to the kernel's rtnetlink.
pub struct Netlink {
    socket: OwnedFd,
}

impl Netlink {
    /// Opens one for the calling thread's network namespace.
    pub fn open() -> io::Result<Netlink> {
        Ok(Netlink { socket: sys::route_socket()? })
    }

    /// Makes a bridge.
    pub fn add_bridge(&self, name: &str, mac: &Mac) -> io::Result<()> {
        let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE);
        message.link(0, false).text(LINK_NAME, name).attribute(LINK_ADDRESS, mac);
        message.nest(LINK_INFO, |info| {
            info.text(INFO_KIND, "bridge");
        });
        self.ask(message)
    }

    /// Makes two devices that are the ends of one cable: `name` here, `peer` in the network namespace of the process `pid`.
    pub fn add_cable(&self, name: &str, peer: &str, mac: &Mac, pid: i32) -> io::Result<()> {
        let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE);
        message.link(0, false).text(LINK_NAME, name);
        message.nest(LINK_INFO, |info| {
            info.text(INFO_KIND, "veth").nest(INFO_DATA, |data| {
                data.nest(VETH_PEER, |end| {
                    end.link(0, false).text(LINK_NAME, peer).attribute(LINK_ADDRESS, mac);
                    end.attribute(LINK_NAMESPACE_PID, &pid.to_ne_bytes());
                });
            });
        });
        self.ask(message)
    }

    /// Brings a device up, as a port of the bridge `master` if there is one.
    pub fn up(&self, name: &str, master: Option<&str>) -> io::Result<()> {
        let mut message = Message::new(NEW_LINK, 0);
        message.link(sys::interface_index(name)?, true);
        if let Some(master) = master {
            message.attribute(LINK_MASTER, &sys::interface_index(master)?.to_ne_bytes());
        }
        self.ask(message)
    }

    /// Gives a device an address; the first `prefix` bits are the network's.
    pub fn add_address(&self, name: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut message = Message::new(NEW_ADDRESS, CREATE | EXCLUSIVE);
        message.0.extend([libc::AF_INET as u8, prefix, 0, 0]);
        message.0.extend(sys::interface_index(name)?.to_ne_bytes());
        let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        message.attribute(LOCAL, &address.octets());
        message.attribute(BROADCAST, &(u32::from(address) | host).to_be_bytes());
        self.ask(message)
    }

    /// Sends everything that is for nobody nearer to `gateway`.
    pub fn add_default_route(&self, gateway: Ipv4Addr) -> io::Result<()> {
        const MAIN: u8 = 254;
        const BOOT: u8 = 3;
        const UNICAST: u8 = 1;
        let mut message = Message::new(NEW_ROUTE, CREATE | EXCLUSIVE);
        message.0.extend([libc::AF_INET as u8, 0, 0, 0, MAIN, BOOT, 0, UNICAST, 0, 0, 0, 0]);
        message.attribute(GATEWAY, &gateway.octets());
        self.ask(message)
    }

    fn ask(&self, message: Message) -> io::Result<()> {
        let mut answer = [0; 1024];
        let length = sys::exchange(&self.socket, &message.finish(), &mut answer)?;
        refusal(&answer[..length]).map_or(Ok(()), Err)
    }
}

/// What an answer says against the request.
fn refusal(answer: &[u8]) -> Option<io::Error> {
    let kind = answer.get(4..6).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
    let code = answer.get(HEADER..HEADER + 4).and_then(|bytes| bytes.try_into().ok());
    match (kind, code.map(i32::from_ne_bytes)) {
        (Some(ERROR), Some(0)) => None,
        (Some(ERROR), Some(code)) => Some(io::Error::from_raw_os_error(-code)),
        _ => Some(io::Error::new(io::ErrorKind::InvalidData, "not an answer of rtnetlink")),
    }
}

/// A message in the making. Whatever is in it begins at a multiple of four bytes.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Message {
        let mut header = vec![0; HEADER];
        header[4..6].copy_from_slice(&kind.to_ne_bytes());
        header[6..8].copy_from_slice(&(flags | REQUEST | ACKNOWLEDGE).to_ne_bytes());
        Message(header)
    }

    /// `struct ifinfomsg`: a device by its index, 0 if it has none yet; and whether it is to be brought up.
    fn link(&mut self, index: u32, up: bool) -> &mut Message {
        let flags = if up { libc::IFF_UP as u32 } else { 0 };
        self.0.extend([0; 4]);
        for word in [index, flags, flags] {
            self.0.extend(word.to_ne_bytes());
        }
        self
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Message {
        self.nest(kind, |message| message.0.extend(value))
    }

    fn text(&mut self, kind: u16, text: &str) -> &mut Message {
        self.nest(kind, |message| {
            message.0.extend(text.as_bytes());
            message.0.push(0);
        })
    }

    /// An attribute with what `fill` puts into it.
    fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) -> &mut Message {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        fill(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested() {
        let mut message = Message::new(NEW_LINK, CREATE);
        message.nest(LINK_INFO, |info| {
            info.text(INFO_KIND, "veth").attribute(INFO_DATA, &[7]);
        });
        let bytes = message.finish();
        assert_eq!(bytes[..8], [40, 0, 0, 0, 16, 0, 5, 4]);
        assert_eq!(bytes[HEADER..HEADER + 4], [24, 0, 18, 0]);
        assert_eq!(bytes[HEADER + 4..HEADER + 16], *b"\x09\0\x01\0veth\0\0\0\0");
        assert_eq!(bytes[HEADER + 16..], [5, 0, 2, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn what_the_kernel_says_is_understood() {
        let answer = |code: i32| {
            let mut bytes = vec![0; HEADER];
            bytes[4] = 2;
            bytes.extend(code.to_ne_bytes());
            refusal(&bytes)
        };
        assert!(answer(0).is_none());
        assert_eq!(answer(-17).and_then(|error| error.raw_os_error()), Some(17));
        assert!(refusal(&[0; 3]).is_some());
    }
}
