//! Go's write barrier for r8, which gem5 breaks: where it is.
//!
//! From Go 1.10 to Go 1.20, `runtime.gcWriteBarrierR8` is `xchg rax, r8; call runtime.gcWriteBarrier; xchg rax, r8; ret`, and
//! Go's assembler writes that xchg in its form of two bytes, `49 90`. gem5 24 takes that for a nop, so that whenever the
//! collector marks beside the program, a pointer that is in r8 is stored as whatever rax holds.

use super::Elf;

/// Its name in Go's table of functions, which strip leaves.
pub const NAME: &[u8] = b"runtime.gcWriteBarrierR8";
/// How long it is with the short form.
pub const SHORT: usize = 10;

/// Where a file has the function in its short form: the offset in the file.
///
/// By its name where the table of functions can be read, else by its bytes, which stand alone between functions.
pub fn find(elf: &Elf<'_>) -> Option<u64> {
    if let Some(function) = elf.named(NAME) {
        let code = elf.code.iter().find(|code| code.contains(function.address))?;
        let at = usize::try_from(function.address - code.address).ok()?;
        return is_short(code.bytes.get(at..)?).then_some(code.offset + at as u64);
    }
    elf.go.as_ref().filter(|go| go.functions.is_empty())?;
    elf.code.iter().find_map(|code| {
        let at = code.bytes.windows(SHORT).position(is_short)?;
        Some(code.offset + at as u64)
    })
}

/// `49 90`, a call, `49 90`, `c3`.
pub fn is_short(bytes: &[u8]) -> bool {
    matches!(bytes, [0x49, 0x90, 0xe8, _, _, _, _, 0x49, 0x90, 0xc3, ..])
}
