//! The program inside a vsbuild guest.
//!
//! One static binary under several names, because a simulated disk should hold, and a simulated processor load, as
//! little as possible. Which program it is follows from the name it was called by or, called `guest`, from its first
//! argument: `init` (process 1 of the guest), `invoke` (calls a function) or `m5` (talks to
//! the gem5 simulator).

#![deny(missing_docs)]
#![deny(unsafe_code)]

mod cni;
mod config;
mod console;
mod containerd;
mod grpc;
mod init;
mod invoke;
mod json;
mod m5;
mod netlink;
mod protobuf;
mod sys;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: guest init            start the guest: only as process 1
       guest invoke NAME …   call a function that runs already
       guest m5 OPERATION …  an operation of the gem5 simulator; `guest m5 help` lists them
";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    let mut rest: Vec<String> = arguments.map(lossy).collect();

    let mut program = Path::new(&called).file_name().map(|name| lossy(name.to_owned()));
    if program.as_deref() == Some("guest") {
        program = if rest.is_empty() { None } else { Some(rest.remove(0)) };
    }
    match program.as_deref() {
        // Process 1 is init whatever its name: the kernel starts what `init=` or the default path says.
        _ if std::process::id() == 1 => init::main(),
        Some("init") => {
            eprintln!("init: this is not process 1; nothing done");
            ExitCode::FAILURE
        }
        Some("invoke") => invoke::main(&rest),
        Some("m5") => m5::main(&rest),
        _ => {
            eprint!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn lossy(text: OsString) -> String {
    text.to_string_lossy().into_owned()
}
