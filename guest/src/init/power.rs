//! The end of a guest: everything stopped, the disk consistent, the host told.

use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::thread::park;

use super::mounts;
use crate::console::{tell, Event};
use crate::m5;
use crate::sys;

/// Where QEMU's `isa-debug-exit` device usually is: a byte written to it ends QEMU with exit code 2 × byte + 1.
const DEBUG_EXIT: u64 = 0xf4;

/// Ends the guest with `code`. Never returns.
pub fn off(code: u8) -> ! {
    // What had to end in order has; the rest must only let go of the disk.
    sys::kill_all();
    if let Err(error) = mounts::release_disk() {
        tell(&Event::Error { text: &format!("making the root file system read-only: {error}") });
    }
    tell(&Event::Exit { code });
    // The machine must not go before the line has left its serial port.
    sys::flush_terminal(std::io::stdout().as_fd());

    // Each of these ends the machine where it applies, and is nothing elsewhere.
    if let Err(problem) = m5::end_simulation(code) {
        tell(&Event::Error { text: &problem });
    }
    if !m5::is_gem5() {
        end_qemu(code);
    }
    let error = sys::power_off();
    tell(&Event::Error { text: &format!("power-off: {error}") });
    loop {
        park();
    }
}

/// Writes `code` to QEMU's exit device. The port of a machine without one reads as all ones.
fn end_qemu(code: u8) {
    let Ok(ports) = OpenOptions::new().read(true).write(true).open("/dev/port") else { return };
    let mut byte = [0xff];
    if ports.read_exact_at(&mut byte, DEBUG_EXIT).is_ok() && byte == [0] {
        let _ = ports.write_all_at(&[code], DEBUG_EXIT);
    }
}
