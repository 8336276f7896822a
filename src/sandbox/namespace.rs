//! The namespaces: who one is inside, what one is called, and a network that leads nowhere.

use std::io;

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::{
    fault::{At, Fault, Stage},
    spec::{BUILDER, HOSTNAME},
};

/// Leaves the host's namespaces. The process itself stays in its process id namespace; its next child is number 1
/// of a new one.
///
/// Root and ordinary users are treated alike: whoever one is outside, inside one is the builder, with all
/// capabilities over the new namespaces and none over the host's.
pub(super) fn leave_host() -> Result<(), Fault> {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    // An ordinary user cannot leave groups, and sees the further ones as `nogroup` inside.
    let _ = nix::unistd::setgroups(&[]);
    unshare(CloneFlags::CLONE_NEWUSER).at(Stage::User, "make a user namespace")?;
    map_ids(uid.as_raw(), gid.as_raw())?;
    let rest = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(rest).at(Stage::Namespaces, "make the namespaces")?;
    match unshare(CloneFlags::CLONE_NEWCGROUP) {
        // A kernel without control groups has none to hide.
        Ok(()) | Err(Errno::EINVAL) => (),
        Err(errno) => return Err(errno).at(Stage::Namespaces, "make a control group namespace"),
    }
    rustix::system::sethostname(HOSTNAME.as_bytes()).at(Stage::Other, "set the host name")?;
    rustix::system::setdomainname(b"(none)").at(Stage::Other, "set the domain name")?;
    raise_loopback().at(Stage::Other, "raise the loopback interface")
}

/// Enters one more user namespace, which owns nothing: neither the mounts nor the network nor any process outside.
///
/// It also hides the host's user id, which the id map of the first one shows.
pub(super) fn leave_ownership() -> Result<(), Fault> {
    unshare(CloneFlags::CLONE_NEWUSER).at(Stage::User, "make the inner user namespace")?;
    map_ids(BUILDER, BUILDER)
}

fn map_ids(uid: u32, gid: u32) -> Result<(), Fault> {
    let write = |file: &str, text: String| {
        let path = format!("/proc/self/{file}");
        std::fs::write(&path, text).at(Stage::User, format_args!("write {path}"))
    };
    // An ordinary user may map a group only after giving up setgroups(2), see user_namespaces(7).
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{BUILDER} {uid} 1"))?;
    write("gid_map", format!("{BUILDER} {gid} 1"))
}

/// Asks the kernel over rtnetlink(7) to set interface 1, which is `lo` in every new network namespace, to up.
fn raise_loopback() -> io::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    let mut request = Vec::with_capacity(32);
    request.extend(32_u32.to_ne_bytes());
    request.extend(RTM_NEWLINK.to_ne_bytes());
    request.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    request.extend([0; 8]); // sequence number and port
    request.extend([0; 4]); // family and type
    request.extend(1_i32.to_ne_bytes());
    request.extend(IFF_UP.to_ne_bytes());
    request.extend(IFF_UP.to_ne_bytes());
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // protocol 0, NETLINK_ROUTE
    )?;
    rustix::net::send(&socket, &request, SendFlags::empty())?;
    let mut answer = [0_u8; 256];
    rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // The answer is a header of 16 bytes and an error number, negative, or zero for success.
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}

/// How many packets this network namespace could not send because no route leads out of it.
pub(super) fn packets_without_route() -> u64 {
    let read = |name| std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    count_v4(&read("snmp")).saturating_add(count_v6(&read("snmp6")))
}

/// `snmp` has a line of names and a line of numbers for each protocol.
fn count_v4(snmp: &str) -> u64 {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split(' ').zip(numbers.split(' '));
    let found = pairs.find(|(name, _)| *name == "OutNoRoutes");
    found.and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

/// `snmp6` has a name and a number on each line.
fn count_v6(snmp6: &str) -> u64 {
    let mut pairs = snmp6.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let found = pairs.find(|(name, _)| *name == "Ip6OutNoRoutes");
    found.and_then(|(_, number)| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_without_route_are_read_from_both_protocols() {
        let snmp = "Ip: Forwarding OutNoRoutes ReasmFails\nIp: 1 7 0\nTcp: OutNoRoutes\nTcp: 9\n";
        assert_eq!(count_v4(snmp), 7);
        assert_eq!(count_v6("Ip6InReceives \t3\nIp6OutNoRoutes                  \t4\n"), 4);
        assert_eq!((count_v4(""), count_v6("")), (0, 0));
    }
}
