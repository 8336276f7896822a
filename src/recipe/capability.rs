use std::{fmt, str::FromStr};

/// Capabilities in the order of their bits (linux/capability.h of Linux 6.1).
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// File capabilities (capabilities(7)), each set with one bit a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// What the program may take.
    pub permitted: u64,
    /// What it may keep from its caller.
    pub inheritable: u64,
    /// Whether it has the permitted ones at once.
    pub effective: bool,
}

impl Capabilities {
    /// The value of the extended attribute `security.capability`: revision 2 of `struct vfs_cap_data`
    /// (linux/capability.h), which is 20 bytes.
    pub fn to_xattr(self) -> [u8; 20] {
        const REVISION_2: u32 = 0x0200_0000;
        let low = |set: u64| (set & u64::from(u32::MAX)) as u32;
        let high = |set: u64| (set >> 32) as u32;
        let words = [
            REVISION_2 | u32::from(self.effective),
            low(self.permitted),
            low(self.inheritable),
            high(self.permitted),
            high(self.inheritable),
        ];
        let mut bytes = [0; 20];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// The text does not say capabilities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCapabilities {
    /// Not of the form `cap_x,cap_y+ep`.
    #[error("`{}` does not say capabilities", .0.escape_debug())]
    Form(String),
    /// A capability that Linux does not have.
    #[error("`{}` is not a capability", .0.escape_debug())]
    Unknown(String),
}

impl FromStr for Capabilities {
    type Err = NotCapabilities;

    /// Takes what setcap(8) takes, as far as it adds: clauses `cap_x,cap_y+ep` or `=ep`, apart by spaces.
    ///
    /// The kernel holds one effective flag for all, so either all permitted capabilities are effective or none.
    fn from_str(text: &str) -> Result<Self, NotCapabilities> {
        let form = || NotCapabilities::Form(text.to_owned());
        let (mut set, mut effective) = (Self::default(), 0);
        for clause in text.split_ascii_whitespace() {
            let (names, flags) = clause.split_once(['+', '=']).ok_or_else(form)?;
            let mut bits = 0;
            for name in names.split(',') {
                bits |= 1_u64 << bit(name)?;
            }
            if flags.is_empty() {
                return Err(form());
            }
            for flag in flags.chars() {
                match flag {
                    'p' => set.permitted |= bits,
                    'i' => set.inheritable |= bits,
                    'e' => effective |= bits,
                    _ => return Err(form()),
                }
            }
        }
        set.effective = effective != 0;
        let whole = effective == 0 || effective == set.permitted | set.inheritable;
        if whole && set != Self::default() { Ok(set) } else { Err(form()) }
    }
}

fn bit(name: &str) -> Result<usize, NotCapabilities> {
    let lower = name.to_ascii_lowercase();
    let known = |short: &str| NAMES.iter().position(|name| *name == short);
    lower
        .strip_prefix("cap_")
        .and_then(known)
        .ok_or_else(|| NotCapabilities::Unknown(name.to_owned()))
}

impl fmt::Display for Capabilities {
    /// As [`Capabilities::from_str`] takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut apart = "";
        for (bit, name) in NAMES.iter().enumerate() {
            let has = |set: u64| set >> bit & 1 == 1;
            let (permitted, inheritable) = (has(self.permitted), has(self.inheritable));
            if !permitted && !inheritable {
                continue;
            }
            let flag = |set, letter| if set { letter } else { "" };
            let effective = flag(self.effective, "e");
            let (inheritable, permitted) = (flag(inheritable, "i"), flag(permitted, "p"));
            write!(f, "{apart}cap_{name}+{effective}{inheritable}{permitted}")?;
            apart = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attribute_is_what_setcap_writes() {
        // setcap cap_net_raw,cap_checkpoint_restore+ep FILE; getfattr -e hex -n security.capability FILE
        let set: Capabilities = "cap_net_raw,cap_checkpoint_restore+ep".parse().expect("a set");
        let hex: String = set.to_xattr().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0100000200200000000000000001000000000000");
        assert_eq!(set.to_string().parse(), Ok(set));
    }

    #[test]
    fn what_the_kernel_cannot_hold_is_refused() {
        for text in [
            "",
            "cap_net_raw",
            "cap_net_raw+",
            "cap_net_raw+x",
            "net_raw+p",
            "cap_nope+ep",
            "+ep",
            "cap_net_raw+ep cap_chown+p",
            "cap_net_raw+e cap_chown+p",
        ] {
            assert!(text.parse::<Capabilities>().is_err(), "{text}");
        }
    }
}
