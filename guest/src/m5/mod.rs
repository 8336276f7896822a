//! `m5`: asks the gem5 simulator, from inside, for something: to end, to take a checkpoint, to write its statistics.
//!
//! gem5 listens in two ways: an opcode that no x86 processor has ([`instruction`]), and a window of physical memory
//! ([`address`]) for when the guest's instructions are run by the host's processor. The opcode is tried first; a processor
//! that doesn't know it raises SIGILL, which is caught.
//!
//! Outside gem5 every operation is a no-op with a note, so that the same image runs in QEMU. Whether this is gem5 is read
//! from the processor's name, which gem5 sets to "Fake gem5 x86_64 CPU". `M5_FORM` in the environment decides instead where a
//! simulator is configured to hide: `instruction`, `address` or `off`.
//!
//! Function numbers and calling convention: gem5's `include/gem5/asm/generic/m5ops.h` and `src/arch/x86/pseudo_inst_abi.hh`.

mod address;
mod instruction;
mod operation;

use std::io::Write;
use std::process::ExitCode;

use operation::Call;
pub use operation::Operation;

use crate::config::Parameters;

/// How much of its file gem5 is asked for at a time.
const READ_SIZE: usize = 4096;

/// How to reach the simulator.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Instruction,
    Address,
    /// The opcode, and where that is unknown, the address.
    Either,
}

/// The program `m5`. `arguments` are an operation and its own arguments.
pub fn main(arguments: &[String]) -> ExitCode {
    let call = match operation::parse(arguments) {
        Ok(call) => call,
        Err(usage) => {
            eprint!("{usage}");
            return ExitCode::FAILURE;
        }
    };
    let done = match call.operation {
        Operation::ReadFile => Simulator::find().read_file().and_then(|bytes| {
            std::io::stdout().write_all(&bytes).map_err(|error| format!("standard output: {error}"))
        }),
        _ => perform(&call),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("m5: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// What is added to an exit code in `fail`, where smaller numbers tell how far the guest has come.
const ENDED: u64 = 256;

/// Ends the simulation with the result of the run: 0 by `exit`, another code by `fail`. Outside gem5, nothing.
pub fn end_simulation(code: u8) -> Result<(), String> {
    if !is_gem5() {
        return Ok(());
    }
    perform(&match code {
        0 => Call { operation: Operation::Exit, arguments: [0; 3] },
        code => Call { operation: Operation::Fail, arguments: [0, ENDED + u64::from(code), 0] },
    })
}

/// The way to the simulator, found out once: to look for it is to read a file, and marks should cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct Simulator(Option<Form>);

impl Simulator {
    /// Looks for it. Outside gem5 all that follows does nothing.
    pub fn find() -> Simulator {
        Simulator(form(std::env::var("M5_FORM").ok().as_deref(), is_gem5).unwrap_or(None))
    }

    /// Tells how far the guest has come, by a code that the simulation script knows. It is vSwarm-u's way to `fail`, after
    /// which the script goes on.
    pub fn tell(&self, code: u64) {
        self.perform(Operation::Fail, [0, code, 0]);
    }

    /// A unit of work begins.
    pub fn work_begins(&self, number: u64) {
        self.perform(Operation::WorkBegin, [number, 0, 0]);
    }

    /// It ends.
    pub fn work_ends(&self, number: u64) {
        self.perform(Operation::WorkEnd, [number, 0, 0]);
    }

    /// What the run asks for now, if the simulator is the one to know; else what it asked for all along.
    pub fn answer(&self, parameters: &Parameters) -> Result<Parameters, String> {
        if !parameters.ask {
            return Ok(parameters.clone());
        }
        let answer = String::from_utf8(self.read_file()?).map_err(|_| "m5 readfile: not UTF-8")?;
        parameters.clone().answered(&answer).map_err(|mistake| mistake.to_string())
    }

    /// The file that the simulator was given for its guest; empty outside gem5.
    fn read_file(&self) -> Result<Vec<u8>, String> {
        let Some(form) = self.0 else { return Ok(Vec::new()) };
        let mut file = Vec::new();
        // Written to, so that it is there: gem5 doesn't raise page faults for what it copies.
        let mut part = vec![1; READ_SIZE];
        loop {
            let arguments = [part.as_mut_ptr() as u64, READ_SIZE as u64, file.len() as u64];
            let read = execute(form, &Call { operation: Operation::ReadFile, arguments })?;
            let read = part.get(..read as usize).ok_or("m5 readfile: more than was asked for")?;
            if read.is_empty() {
                return Ok(file);
            }
            file.extend_from_slice(read);
        }
    }

    fn perform(&self, operation: Operation, arguments: [u64; 3]) {
        if let Some(form) = self.0 {
            if let Err(problem) = execute(form, &Call { operation, arguments }) {
                eprintln!("m5: {problem}");
            }
        }
    }
}

/// Whether gem5's processor runs us.
pub fn is_gem5() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|cpuinfo| names_gem5(&cpuinfo))
}

fn names_gem5(cpuinfo: &str) -> bool {
    cpuinfo.lines().any(|line| line.starts_with("model name") && line.contains("gem5"))
}

fn perform(call: &Call) -> Result<(), String> {
    let Some(form) = form(std::env::var("M5_FORM").ok().as_deref(), is_gem5)? else {
        eprintln!("m5: this is not gem5; `{}` does nothing here", call.operation.name());
        return Ok(());
    };
    execute(form, call).map(drop)
}

fn execute(form: Form, call: &Call) -> Result<u64, String> {
    let unknown = || "this processor does not know the m5 instruction".to_owned();
    match form {
        Form::Instruction => instruction::execute(call).ok_or_else(unknown),
        Form::Address => address::execute(call),
        Form::Either => instruction::execute(call).map_or_else(|| address::execute(call), Ok),
    }
}

/// The form that `M5_FORM` asks for; `None` if there is no simulator to talk to.
fn form(wanted: Option<&str>, is_gem5: impl Fn() -> bool) -> Result<Option<Form>, String> {
    match wanted {
        None | Some("") => Ok(is_gem5().then_some(Form::Either)),
        Some("instruction") => Ok(Some(Form::Instruction)),
        Some("address") => Ok(Some(Form::Address)),
        Some("off") => Ok(None),
        Some(other) => Err(format!("M5_FORM is `{other}`, not instruction, address or off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gem5_is_known_by_the_name_of_its_processor() {
        assert!(names_gem5("vendor_id\t: HygonGenuine\nmodel name\t: Fake gem5 x86_64 CPU\n"));
        assert!(!names_gem5("model name\t: QEMU Virtual CPU version 2.5+\nflags\t: gem5\n"));
    }

    #[test]
    fn the_environment_decides_before_the_processor() {
        assert_eq!(form(None, || true), Ok(Some(Form::Either)));
        assert_eq!(form(None, || false), Ok(None));
        assert_eq!(form(Some("off"), || true), Ok(None));
        assert_eq!(form(Some("address"), || false), Ok(Some(Form::Address)));
        assert!(form(Some("adress"), || true).is_err());
    }
}
