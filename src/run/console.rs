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
    /// The address of a function's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The cores that a function has, as in a cpuset: `1`, `2-3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<String>,
    /// The cores that all else has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<String>,
    /// How many warm-up invocations there will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The number of an invocation, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Whether the reply was right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    /// What was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What was replied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// How many warm-up invocations there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<u64>,
    /// How many measured invocations there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocations: Option<u64>,
    /// How many replies were wrong, those of the warm-up included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// How long one invocation took, or all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<Latency>,
}

/// Nanoseconds of guest time from a request to its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Latency {
    /// Of one invocation.
    One(u64),
    /// Of all measured ones.
    All(Latencies),
}

/// The latencies of many invocations, in nanoseconds of guest time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// The shortest.
    pub min: u64,
    /// Half of them took no longer.
    pub median: u64,
    /// Nine of ten took no longer.
    pub p90: u64,
    /// 99 of 100 took no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
    /// The mean.
    pub mean: u64,
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
    /// A function's container is there, without a network.
    FunctionStarting,
    /// It has a network.
    FunctionNetwork,
    /// It runs.
    FunctionStarted,
    /// It has cores of its own, if there are several.
    FunctionPinned,
    /// It accepts connections.
    FunctionReady,
    /// The warm-up invocations begin.
    WarmStarted,
    /// The warm-up invocations are over.
    WarmEnded,
    /// One measured invocation; all are reported after the last.
    Invocation,
    /// All invocations are over.
    Invoked,
    /// A function's container ended.
    FunctionStopped,
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
            Self::FunctionStarting => "function-starting",
            Self::FunctionNetwork => "function-network",
            Self::FunctionStarted => "function-started",
            Self::FunctionPinned => "function-pinned",
            Self::FunctionReady => "function-ready",
            Self::WarmStarted => "warm-started",
            Self::WarmEnded => "warm-ended",
            Self::Invocation => "invocation",
            Self::Invoked => "invoked",
            Self::FunctionStopped => "function-stopped",
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
    text.contains("Kernel panic - not syncing") || text.contains("Oops: ")
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
    fn invocations_carry_their_latencies() {
        let one =
            br#"{"vsbuild":1,"stage":"invocation","uptime_us":5,"n":0,"ok":true,"latency_ns":7}"#;
        assert_eq!(read(one).and_then(|said| said.latency_ns), Some(Latency::One(7)));
        let all = br#"{"vsbuild":1,"stage":"invoked","uptime_us":5,"name":"f","warm":1,"invocations":2,"failed":0,
            "latency_ns":{"min":1,"median":2,"p90":3,"p99":4,"max":5,"mean":6}}"#;
        let all = read(all).expect("a line of the guest");
        let latencies = Latencies { min: 1, median: 2, p90: 3, p99: 4, max: 5, mean: 6 };
        assert_eq!(all.latency_ns, Some(Latency::All(latencies)));
        assert_eq!((all.warm, all.invocations, all.failed), (Some(1), Some(2), Some(0)));
    }

    #[test]
    fn a_stage_is_spelled_as_it_is_read() {
        for stage in [Stage::ContainerdReady, Stage::Exit, Stage::ContainerExited] {
            assert_eq!(serde_json::to_string(&stage).unwrap(), format!("\"{}\"", stage.name()));
        }
    }
}
