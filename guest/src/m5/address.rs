//! The m5 operations by address: a load from the window at `0xFFFF0000` performs the function whose number is in bits 8 to
//! 23 of the offset, with the arguments in the registers of a C call.

#![allow(unsafe_code)] // a load whose effect depends on registers

use std::arch::asm;
use std::fs::OpenOptions;

use super::operation::Call;
use crate::sys::PhysicalWindow;

/// Where gem5's X86Board has the window.
const WINDOW: u64 = 0xffff_0000;

/// Performs an operation, and gives what it returns.
pub fn execute(call: &Call) -> Result<u64, String> {
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/mem")
        .map_err(|error| format!("/dev/mem: {error}"))?;
    let window = PhysicalWindow::map(&memory, WINDOW)
        .map_err(|error| format!("mapping {WINDOW:#x} of /dev/mem: {error}"))?;

    let [first, second, third] = call.arguments;
    let at = window.base().wrapping_add((call.operation as usize) << 8);
    let result;
    // SAFETY: function numbers are below 256, so `at` lies in the 64 KiB of the window. The load has effects that the
    // compiler can't know of, which is why it's written out.
    unsafe {
        asm!(
            "mov {result}, qword ptr [{at}]",
            at = in(reg) at,
            result = lateout(reg) result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
        );
    }
    Ok(result)
}
