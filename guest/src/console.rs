//! What the guest tells the host, on the console.
//!
//! # Format
//!
//! One JSON object a line. Lines that are not such an object (kernel messages) may stand between them; a line belongs to
//! us exactly if it parses as an object with the key `vsbuild`. The terminal may end a line in `\r\n`.
//!
//! | key | in | meaning |
//! |---|---|---|
//! | `vsbuild` | all | version of this format: 1 |
//! | `stage` | all | what happened, see below |
//! | `uptime_us` | all | microseconds since the kernel started its clock, as the guest sees time |
//! | `pid` | `containerd-started`, `container-started`, `function-started` | process id: of containerd; of the container's first process |
//! | `name` | `container-…`, `function-…` | the container's name |
//! | `address` | `function-network` | its IPv4 address |
//! | `cores`, `rest` | `function-pinned` | where the function runs, and where all else: lists as of `cpuset.cpus` |
//! | `stream` | `output` | `stdout` or `stderr` of the container; `stdout` for both of a function's |
//! | `text` | `output`, `log`, `error` | one line, without its end; bytes that are not UTF-8 come as U+FFFD |
//! | `code` | `container-exited`, `function-stopped`, `exit` | exit code, 0 to 255 |
//!
//! Stages of a boot that goes well, in this order: `init` (first instruction of ours), `mounted`, `entropy`, `network`,
//! `containerd-started`, `containerd-ready` (its socket answers), `container-started`, `output` (any number),
//! `container-exited`, `containerd-stopped`, `exit`. A run of a function has in the place of the container's, for each
//! container: `function-starting`, `function-network`, `function-started`, for the function itself `function-pinned`,
//! `function-ready`; at the end, last container first, `output` (any number) and `function-stopped`.
//!
//! `error` says what went wrong; before it, `log` repeats the last lines of the containers' and containerd's logs if those ran. Whatever happens, the last
//! line is `exit`, with the code that the host should take for the result of the whole run: the container's own, or one
//! of [`crate::init::Failure::code`]. When it is printed all file systems are already read-only and synced.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::sys;

/// Version of the line format. It changes when a reader of the old one would be misled.
const FORMAT: u32 = 1;

/// Something that the host should know.
#[derive(Debug, PartialEq)]
pub enum Event<'a> {
    /// Init runs.
    Init,
    /// The kernel's random numbers are seeded.
    Entropy,
    /// Virtual file systems and control groups are mounted.
    Mounted,
    /// The loopback device is up.
    Network,
    /// containerd was started, as this process.
    DaemonStarted { pid: i32 },
    /// containerd accepts connections.
    DaemonReady,
    /// The container was started: its first process.
    ContainerStarted { name: &'a str, pid: i32 },
    /// The container of a function, or of what it needs, was made; its network comes next.
    FunctionStarting { name: &'a str },
    /// It has its network.
    FunctionNetwork { name: &'a str, address: &'a str },
    /// It was started: its first process.
    FunctionStarted { name: &'a str, pid: i32 },
    /// The function runs on these cores, all else on the rest.
    FunctionPinned { name: &'a str, cores: &'a str, rest: &'a str },
    /// Its port accepts connections.
    FunctionReady { name: &'a str },
    /// The invocations before the measured ones begin.
    WarmStarted { count: u64 },
    /// They are over.
    WarmEnded,
    /// A measured invocation, told after the last one.
    Invocation {
        number: u64,
        ok: bool,
        /// From request to reply, in nanoseconds.
        latency: u64,
        request: &'a str,
        reply: Option<&'a str>,
    },
    /// All invocations are over.
    Invoked {
        name: &'a str,
        warm: u64,
        invocations: u64,
        failed: u64,
        latencies: Option<Latencies>,
    },
    /// It ended, as asked.
    FunctionStopped { name: &'a str, code: u8 },
    /// A line that the container wrote.
    Output { stream: Stream, text: &'a [u8] },
    /// The container ended.
    ContainerExited { name: &'a str, code: u8 },
    /// containerd ended, as asked.
    DaemonStopped,
    /// A line of containerd's log.
    Log { text: &'a [u8] },
    /// Something failed.
    Error { text: &'a str },
    /// The last line: the result of the whole run.
    Exit { code: u8 },
}

/// Where a container wrote a line to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The latencies of many invocations, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latencies {
    min: u64,
    median: u64,
    p90: u64,
    p99: u64,
    max: u64,
    mean: u64,
}

impl Latencies {
    /// Of these; none if there are none. A percentile is the shortest latency that so many did not exceed.
    pub fn of(mut all: Vec<u64>) -> Option<Latencies> {
        all.sort_unstable();
        let (min, max) = (*all.first()?, *all.last()?);
        let percentile = |percent: usize| all[(all.len() * percent).div_ceil(100).max(1) - 1];
        let mean = all.iter().sum::<u64>() / all.len() as u64;
        let (median, p90, p99) = (percentile(50), percentile(90), percentile(99));
        Some(Latencies { min, median, p90, p99, max, mean })
    }

    fn json(&self) -> String {
        let Latencies { min, median, p90, p99, max, mean } = self;
        let (low, high) = (format!(r#""min":{min},"median":{median}"#), format!(r#""max":{max}"#));
        format!(r#"{{{low},"p90":{p90},"p99":{p99},{high},"mean":{mean}}}"#)
    }
}

impl Event<'_> {
    /// The line for this event, without its end, with the given uptime in microseconds.
    pub fn line(&self, uptime_us: u64) -> String {
        let mut line = format!(r#"{{"vsbuild":{FORMAT},"stage":"{}""#, self.stage());
        line += &format!(r#","uptime_us":{uptime_us}"#);
        match self {
            Event::DaemonStarted { pid } => line += &format!(r#","pid":{pid}"#),
            Event::ContainerStarted { name, pid } => {
                line += &format!(r#","name":{},"pid":{pid}"#, quoted(name.as_bytes()));
            }
            Event::Output { stream: Stream::Stdout, text } => {
                line += &format!(r#","stream":"stdout","text":{}"#, quoted(text));
            }
            Event::Output { stream: Stream::Stderr, text } => {
                line += &format!(r#","stream":"stderr","text":{}"#, quoted(text));
            }
            Event::ContainerExited { name, code } => {
                line += &format!(r#","name":{},"code":{code}"#, quoted(name.as_bytes()));
            }
            Event::Log { text } => line += &format!(r#","text":{}"#, quoted(text)),
            Event::Error { text } => line += &format!(r#","text":{}"#, quoted(text.as_bytes())),
            Event::Exit { code } => line += &format!(r#","code":{code}"#),
            Event::FunctionStarting { name } | Event::FunctionReady { name } => {
                line += &format!(r#","name":{}"#, quoted(name.as_bytes()));
            }
            Event::FunctionNetwork { name, address } => {
                let (name, address) = (quoted(name.as_bytes()), quoted(address.as_bytes()));
                line += &format!(r#","name":{name},"address":{address}"#);
            }
            Event::FunctionStarted { name, pid } => {
                line += &format!(r#","name":{},"pid":{pid}"#, quoted(name.as_bytes()));
            }
            Event::FunctionPinned { name, cores, rest } => {
                let [name, cores, rest] = [name, cores, rest].map(|text| quoted(text.as_bytes()));
                line += &format!(r#","name":{name},"cores":{cores},"rest":{rest}"#);
            }
            Event::FunctionStopped { name, code } => {
                line += &format!(r#","name":{},"code":{code}"#, quoted(name.as_bytes()));
            }
            Event::WarmStarted { count } => line += &format!(r#","count":{count}"#),
            Event::Invocation { number, ok, latency, request, reply } => {
                let request = quoted(request.as_bytes());
                line += &format!(
                    r#","n":{number},"ok":{ok},"latency_ns":{latency},"request":{request}"#
                );
                if let Some(reply) = reply {
                    line += &format!(r#","reply":{}"#, quoted(reply.as_bytes()));
                }
            }
            Event::Invoked { name, warm, invocations, failed, latencies } => {
                let name = quoted(name.as_bytes());
                line += &format!(r#","name":{name},"warm":{warm},"invocations":{invocations}"#);
                line += &format!(r#","failed":{failed}"#);
                if let Some(latencies) = latencies {
                    line += &format!(r#","latency_ns":{}"#, latencies.json());
                }
            }
            Event::Init
            | Event::WarmEnded
            | Event::Entropy
            | Event::Mounted
            | Event::Network
            | Event::DaemonReady
            | Event::DaemonStopped => {}
        }
        line + "}"
    }

    fn stage(&self) -> &'static str {
        match self {
            Event::Init => "init",
            Event::Entropy => "entropy",
            Event::Mounted => "mounted",
            Event::Network => "network",
            Event::DaemonStarted { .. } => "containerd-started",
            Event::DaemonReady => "containerd-ready",
            Event::ContainerStarted { .. } => "container-started",
            Event::FunctionStarting { .. } => "function-starting",
            Event::FunctionNetwork { .. } => "function-network",
            Event::FunctionStarted { .. } => "function-started",
            Event::FunctionPinned { .. } => "function-pinned",
            Event::FunctionReady { .. } => "function-ready",
            Event::WarmStarted { .. } => "warm-started",
            Event::WarmEnded => "warm-ended",
            Event::Invocation { .. } => "invocation",
            Event::Invoked { .. } => "invoked",
            Event::FunctionStopped { .. } => "function-stopped",
            Event::Output { .. } => "output",
            Event::ContainerExited { .. } => "container-exited",
            Event::DaemonStopped => "containerd-stopped",
            Event::Log { .. } => "log",
            Event::Error { .. } => "error",
            Event::Exit { .. } => "exit",
        }
    }
}

/// Prints an event. A console that can't be written to is nothing that init could do anything about.
pub fn tell(event: &Event) {
    let line = event.line(sys::uptime().as_micros() as u64) + "\n";
    // One write a line, so that a message of the kernel can't come in between.
    let mut console = std::io::stdout().lock();
    let _ = console.write_all(line.as_bytes()).and_then(|()| console.flush());
}

/// `text` as a JSON string.
pub fn quoted(text: &[u8]) -> String {
    let mut json = String::from("\"");
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            // DEL and the C1 controls may be in JSON as they are, but a terminal would act on them.
            control if control.is_control() => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_stage() {
        assert_eq!(Event::Init.line(12), r#"{"vsbuild":1,"stage":"init","uptime_us":12}"#);
    }

    #[test]
    fn a_stage_with_fields() {
        assert_eq!(
            Event::ContainerExited { name: "hello", code: 3 }.line(7),
            r#"{"vsbuild":1,"stage":"container-exited","uptime_us":7,"name":"hello","code":3}"#
        );
    }

    #[test]
    fn a_function_says_where_it_runs() {
        assert_eq!(
            Event::FunctionPinned { name: "f", cores: "3", rest: "0-2" }.line(7),
            r#"{"vsbuild":1,"stage":"function-pinned","uptime_us":7,"name":"f","cores":"3","rest":"0-2"}"#
        );
    }

    #[test]
    fn invocations_are_told_with_their_latencies() {
        let latencies = Latencies::of((1..=100).rev().collect());
        let invoked = Event::Invoked { name: "f", warm: 1, invocations: 100, failed: 0, latencies };
        assert_eq!(
            invoked.line(7),
            r#"{"vsbuild":1,"stage":"invoked","uptime_us":7,"name":"f","warm":1,"invocations":100,"failed":0,"latency_ns":{"min":1,"median":50,"p90":90,"p99":99,"max":100,"mean":50}}"#
        );
        let (request, reply) = ("a\"", None);
        let one = Event::Invocation { number: 0, ok: true, latency: 9, request, reply };
        assert_eq!(
            one.line(7),
            r#"{"vsbuild":1,"stage":"invocation","uptime_us":7,"n":0,"ok":true,"latency_ns":9,"request":"a\""}"#
        );
        assert_eq!(Latencies::of(Vec::new()), None);
    }

    #[test]
    fn output_is_escaped() {
        assert_eq!(
            Event::Output { stream: Stream::Stderr, text: b"a\"b\\c\td\x1b[0m\xff\xc3\xa9\x7f" }
                .line(0),
            "{\"vsbuild\":1,\"stage\":\"output\",\"uptime_us\":0,\"stream\":\"stderr\",\
             \"text\":\"a\\\"b\\\\c\\td\\u001b[0m\u{fffd}é\\u007f\"}"
        );
    }
}
