//! The guest's side of the console: `guest/src/console.rs` writes it, and documents it.

use serde::{Deserialize, Serialize};

/// Version of the line format that is understood here.
const FORMAT: u32 = 1;

/// One thing that the guest said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    #[serde(rename = "vsbuild")]
    format: u32,
    /// What it was about.
    pub stage: Stage,
    /// Microseconds of guest time since the kernel started its clock.
    pub uptime_us: u64,
    /// Process id, where the stage has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i64>,
    /// The container's name, where the stage has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `stdout` or `stderr`, for output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// A line of output, log or error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// An exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
}

/// The stages of a boot, and what may come between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Init runs.
    Init,
    /// The kernel's random numbers are seeded.
    Entropy,
    /// Virtual file systems are mounted.
    Mounted,
    /// The loopback device is up.
    Network,
    /// containerd was started.
    ContainerdStarted,
    /// containerd answers.
    ContainerdReady,
    /// The container is being started.
    ContainerStarted,
    /// A line that the container wrote.
    Output,
    /// The container ended.
    ContainerExited,
    /// containerd ended, as asked.
    ContainerdStopped,
    /// A line of containerd's log.
    Log,
    /// Something failed.
    Error,
    /// The last word: the result of the whole run.
    Exit,
}

impl Stage {
    /// The stage as the guest spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Entropy => "entropy",
            Self::Mounted => "mounted",
            Self::Network => "network",
            Self::ContainerdStarted => "containerd-started",
            Self::ContainerdReady => "containerd-ready",
            Self::ContainerStarted => "container-started",
            Self::Output => "output",
            Self::ContainerExited => "container-exited",
            Self::ContainerdStopped => "containerd-stopped",
            Self::Log => "log",
            Self::Error => "error",
            Self::Exit => "exit",
        }
    }
}

/// Reads a line of the console; none if it is not the guest program's, like a message of the kernel.
pub fn read(line: &[u8]) -> Option<Said> {
    let said: Said = serde_json::from_slice(line.trim_ascii()).ok()?;
    (said.format == FORMAT).then_some(said)
}

/// Whether a line of the console means that the kernel has given up.
pub(super) fn is_panic(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    text.contains("Kernel panic - not syncing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_guest_program_count() {
        let said = read(b"{\"vsbuild\":1,\"stage\":\"output\",\"uptime_us\":5,\"stream\":\"stdout\",\"text\":\"hi\"}\r\n");
        let said = said.expect("a line of the guest");
        assert_eq!((said.stage, said.text.as_deref()), (Stage::Output, Some("hi")));
        for other in [
            &b"[    0.000000] Linux version 6.1"[..],
            b"{\"vsbuild\":2,\"stage\":\"init\",\"uptime_us\":5}",
            b"{\"stage\":\"init\",\"uptime_us\":5}",
            b"",
            b"\xff\xfe{",
        ] {
            assert_eq!(read(other), None);
        }
    }

    #[test]
    fn a_stage_is_spelled_as_it_is_read() {
        for stage in [Stage::ContainerdReady, Stage::Exit, Stage::ContainerExited] {
            assert_eq!(serde_json::to_string(&stage).unwrap(), format!("\"{}\"", stage.name()));
        }
    }
}
