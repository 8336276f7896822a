//! The m5 operations by opcode: bytes `0F 04`, then the function number in 16 bits. Arguments and result are passed as in a
//! C call. On anything but gem5's own processor models it is an illegal instruction.

#![allow(unsafe_code)] // an instruction that no compiler knows, and the handler for when the processor doesn't either

use std::arch::asm;
use std::sync::atomic::{AtomicBool, Ordering};

use super::operation::{Call, Operation};
use crate::sys;

/// Length of the instruction in bytes.
const LENGTH: i64 = 4;

/// Whether the processor refused the instruction.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Executes an operation, and gives what it returns; `None` if this processor doesn't know the instruction.
pub fn execute(call: &Call) -> Option<u64> {
    sys::on_illegal_instruction(skip);
    let run = match call.operation {
        Operation::Exit => opcode::<{ Operation::Exit as u16 }>,
        Operation::Fail => opcode::<{ Operation::Fail as u16 }>,
        Operation::ResetStats => opcode::<{ Operation::ResetStats as u16 }>,
        Operation::DumpStats => opcode::<{ Operation::DumpStats as u16 }>,
        Operation::DumpResetStats => opcode::<{ Operation::DumpResetStats as u16 }>,
        Operation::Checkpoint => opcode::<{ Operation::Checkpoint as u16 }>,
        Operation::ReadFile => opcode::<{ Operation::ReadFile as u16 }>,
        Operation::SwitchCpu => opcode::<{ Operation::SwitchCpu as u16 }>,
        Operation::WorkBegin => opcode::<{ Operation::WorkBegin as u16 }>,
        Operation::WorkEnd => opcode::<{ Operation::WorkEnd as u16 }>,
        Operation::Hypercall => opcode::<{ Operation::Hypercall as u16 }>,
    };
    let result = run(call.arguments);
    (!REFUSED.load(Ordering::Relaxed)).then_some(result)
}

/// The function number is part of the instruction, so there is one of these for each.
fn opcode<const FUNCTION: u16>([first, second, third]: [u64; 3]) -> u64 {
    let result;
    // SAFETY: gem5 reads the argument registers and writes rax, and memory only where `ReadFile` was given a buffer; where
    // the opcode is unknown, `skip` steps over it.
    unsafe {
        asm!(
            ".byte 0x0f, 0x04",
            ".word {function}",
            function = const FUNCTION,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            lateout("rax") result,
        );
    }
    result
}

/// Steps over the illegal instruction and leaves word of it.
extern "C" fn skip(_: i32, _: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    REFUSED.store(true, Ordering::Relaxed);
    // SAFETY: the kernel passes the registers of the interrupted program, which it restores from here.
    unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] += LENGTH };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_processor_survives_it() {
        assert_eq!(execute(&Call { operation: Operation::WorkBegin, arguments: [1, 2, 0] }), None);
    }
}
