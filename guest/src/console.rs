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
//! | `pid` | `containerd-started`, `container-started` | process id: of containerd; of the `ctr` that runs the container |
//! | `name` | `container-started`, `container-exited` | the container's name |
//! | `stream` | `output` | `stdout` or `stderr` of the container |
//! | `text` | `output`, `log`, `error` | one line, without its end; bytes that are not UTF-8 come as U+FFFD |
//! | `code` | `container-exited`, `exit` | exit code, 0 to 255 |
//!
//! Stages of a boot that goes well, in this order: `init` (first instruction of ours), `mounted`, `entropy`, `network`,
//! `containerd-started`, `containerd-ready` (its socket answers), `container-started`, `output` (any number),
//! `container-exited`, `containerd-stopped`, `exit`.
//!
//! `error` says what went wrong; before it, `log` repeats the last lines of containerd's log if that ran. Whatever happens, the last
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
    /// The container is being started, by this `ctr` process.
    ContainerStarted { name: &'a str, pid: i32 },
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
            Event::Init
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
fn quoted(text: &[u8]) -> String {
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
    fn output_is_escaped() {
        assert_eq!(
            Event::Output { stream: Stream::Stderr, text: b"a\"b\\c\td\x1b[0m\xff\xc3\xa9\x7f" }
                .line(0),
            "{\"vsbuild\":1,\"stage\":\"output\",\"uptime_us\":0,\"stream\":\"stderr\",\
             \"text\":\"a\\\"b\\\\c\\td\\u001b[0m\u{fffd}é\\u007f\"}"
        );
    }
}
