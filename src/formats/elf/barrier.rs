//! Go's write barrier for r8, which gem5 breaks: where it is, and how it is written so that gem5 runs it.
//!
//! From Go 1.10 to Go 1.20, `runtime.gcWriteBarrierR8` is `xchg r8, rax; call runtime.gcWriteBarrier; xchg r8, rax; ret`, and
//! Go's assembler writes that xchg in its form of two bytes, `49 90`. gem5 24 takes that for a nop, so that whenever the
//! collector marks beside the program, a pointer that is in r8 is stored as whatever rax holds. The form of three bytes,
//! `4c 87 c0`, does the same on a processor, and in gem5 too.
//!
//! Both are ten bytes and twelve; Go's linker starts functions at multiples of sixteen or thirty-two and fills the gap with
//! `int3`. So the longer one fits, the call moves by one byte, and nothing else in the file moves. Nothing jumps into the
//! function but to its start. What a call returns to is found by Go's tables as before; only the last `ret` lies beyond what
//! they say of the function, which matters to nothing but Go's own CPU profiler, should its signal come right there.

use super::{Code, Elf};

/// Changes when the same program comes out with other bytes.
pub const FORMAT: u32 = 1;

/// Its name in Go's table of functions, which strip leaves.
const NAME: &[u8] = b"runtime.gcWriteBarrierR8";
/// How long it is with the short form, and with the long one.
const SHORT: usize = 10;
const LONG: usize = 12;
const INT3: u8 = 0xcc;

/// Why a program cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The function is there and looks otherwise than any known one.
    #[error("its write barrier for r8 is not as any known Go writes it: {0:02x?}")]
    Unknown(Vec<u8>),
    /// There is no room for two more bytes.
    #[error("there is no room behind its write barrier for r8")]
    NoRoom,
    /// The program is damaged.
    #[error("it cannot be read as a program")]
    Damaged(#[from] super::BadElf),
}

/// Where a file has the function in its short form: the offset in the file.
///
/// By its name where the table of functions can be read, else by its bytes, which stand alone between functions.
pub fn find(elf: &Elf<'_>) -> Option<u64> {
    match elf.named(NAME) {
        Some(_) => function(elf).filter(|(_, bytes)| is_short(bytes)).map(|(offset, _)| offset),
        None => {
            elf.go.as_ref().filter(|go| go.functions.is_empty())?;
            elf.code.iter().find_map(|code| {
                let at = code.bytes.windows(SHORT).position(is_short)?;
                Some(code.offset + at as u64)
            })
        }
    }
}

/// Writes the function with the long form of xchg, in place. Says whether anything was changed: a program of another language
/// or of another Go stays as it is, and so does one that was changed before.
pub fn lengthen(file: &mut [u8]) -> Result<bool, Refused> {
    let Some(elf) = Elf::parse(file)? else { return Ok(false) };
    let Some(function) = elf.named(NAME).copied() else {
        return match find(&elf) {
            // Without names there is no telling where the next function starts.
            Some(_) => Err(Refused::Unknown(Vec::new())),
            None => Ok(false),
        };
    };
    let (offset, bytes) = self::function(&elf).ok_or(Refused::NoRoom)?;
    if is_long(bytes) {
        return Ok(false);
    }
    if !is_short(bytes) {
        return Err(Refused::Unknown(bytes.iter().take(SHORT).copied().collect()));
    }
    let next = elf.functions.partition_point(|it| it.address <= function.address);
    let next = elf.functions.get(next).map_or(u64::MAX, |it| it.address);
    let free = bytes.get(SHORT..LONG) == Some(&[INT3; LONG - SHORT]);
    if !free || next < function.address.saturating_add(LONG as u64) {
        return Err(Refused::NoRoom);
    }
    let call: [u8; 4] = bytes[3..7].try_into().map_err(|_| Refused::NoRoom)?;
    // It ends one byte later than it did, and leads to the same place.
    let distance = i32::from_le_bytes(call).checked_sub(1).ok_or(Refused::NoRoom)?;
    let mut long = [0x4c, 0x87, 0xc0, 0xe8, 0, 0, 0, 0, 0x4c, 0x87, 0xc0, 0xc3];
    long[4..8].copy_from_slice(&distance.to_le_bytes());
    let start = usize::try_from(offset).map_err(|_| Refused::NoRoom)?;
    let place = file.get_mut(start..start + LONG).ok_or(Refused::NoRoom)?;
    place.copy_from_slice(&long);
    Ok(true)
}

/// Where the function is in the file, and the code from there on.
fn function<'d>(elf: &Elf<'d>) -> Option<(u64, &'d [u8])> {
    let address = elf.named(NAME)?.address;
    let code: &Code<'d> = elf.code.iter().find(|code| code.contains(address))?;
    let at = usize::try_from(address - code.address).ok()?;
    Some((code.offset.checked_add(at as u64)?, code.bytes.get(at..)?))
}

/// `49 90`, a call, `49 90`, `c3`.
fn is_short(bytes: &[u8]) -> bool {
    matches!(bytes, [0x49, 0x90, 0xe8, _, _, _, _, 0x49, 0x90, 0xc3, ..])
}

/// `4c 87 c0`, a call, `4c 87 c0`, `c3`.
fn is_long(bytes: &[u8]) -> bool {
    matches!(bytes, [0x4c, 0x87, 0xc0, 0xe8, _, _, _, _, 0x4c, 0x87, 0xc0, 0xc3, ..])
}
