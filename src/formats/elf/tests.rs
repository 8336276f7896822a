use super::*;

/// Name, type, flags, address, what is in it, link, info and size of an entry.
type Section<'a> = (u32, u32, u64, u64, &'a [u8], u32, u32, u64);

const TEXT: u64 = 0x40_1000;

/// A file with one section of code and names for places in it, as a linker would write it.
pub(crate) fn file(code: &[u8], functions: &[(&str, u64)]) -> Vec<u8> {
    let mut names = vec![0];
    let mut symbols = vec![0; 24];
    for (name, offset) in functions {
        symbols.extend(u32::try_from(names.len()).unwrap().to_le_bytes());
        symbols.extend([0x12, 0, 1, 0]);
        symbols.extend((TEXT + offset).to_le_bytes());
        symbols.extend(0_u64.to_le_bytes());
        names.extend(name.bytes().chain([0]));
    }
    let titles = b"\0.text\0.symtab\0.strtab\0.shstrtab\0";
    let mut file = vec![0; 64];
    let mut headers = vec![0; 64];
    // Name, type, flags, address, content, link, information, size of an entry.
    let sections: [Section<'_>; 4] = [
        (1, 1, 6, TEXT, code, 0, 0, 0),
        (7, 2, 0, 0, &symbols, 3, 1, 24),
        (15, 3, 0, 0, &names, 0, 0, 0),
        (23, 3, 0, 0, titles, 0, 0, 0),
    ];
    for (name, kind, flags, address, content, link, info, entry) in sections {
        headers.extend(name.to_le_bytes());
        headers.extend(kind.to_le_bytes());
        for long in [flags, address, file.len() as u64, content.len() as u64] {
            headers.extend(long.to_le_bytes());
        }
        headers.extend(link.to_le_bytes());
        headers.extend(info.to_le_bytes());
        headers.extend(1_u64.to_le_bytes());
        headers.extend(entry.to_le_bytes());
        file.extend(content);
    }
    let table = file.len() as u64;
    file.extend(headers);
    file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0");
    file[20..24].copy_from_slice(&1_u32.to_le_bytes());
    file[40..48].copy_from_slice(&table.to_le_bytes());
    file[52..54].copy_from_slice(&64_u16.to_le_bytes());
    file[58..64].copy_from_slice(&[64, 0, 5, 0, 4, 0]);
    file
}

const BARRIER: &str = "runtime.gcWriteBarrierR8";
const SHORT: [u8; 16] = [
    0x49, 0x90, 0xe8, 0x79, 0xfe, 0xff, 0xff, 0x49, 0x90, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
];
const LONG: [u8; 16] = [
    0x4c, 0x87, 0xc0, 0xe8, 0x78, 0xfe, 0xff, 0xff, 0x4c, 0x87, 0xc0, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc,
];

#[test]
fn code_and_functions_are_found() {
    let bytes = file(&[0x90; 32], &[("b", 16), ("a", 0), ("outside", 64)]);
    let elf = Elf::parse(&bytes).unwrap().unwrap();
    assert!(elf.fixed && !elf.dynamic && elf.go.is_none() && elf.level == 0);
    assert_eq!(elf.code.len(), 1);
    assert_eq!(elf.function(TEXT + 15).unwrap().name, b"a");
    assert_eq!(elf.function(TEXT + 16).unwrap().name, b"b");
    assert!(elf.function(TEXT - 1).is_none());
    assert!(elf.named(b"outside").is_none());
}

#[test]
fn other_files_are_none_of_ours() {
    assert!(Elf::parse(b"#!/bin/sh\n").unwrap().is_none());
    let mut arm = file(&[0; 16], &[]);
    arm[18] = 0xb7;
    assert!(Elf::parse(&arm).unwrap().is_none());
}

#[test]
fn no_damage_makes_it_panic() {
    let whole = file(&SHORT, &[(BARRIER, 0)]);
    for length in 0..whole.len() {
        let _ = Elf::parse(&whole[..length]);
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] = 0xff;
        let _ = Elf::parse(&damaged);
        let _ = barrier::lengthen(&mut damaged);
    }
}

#[test]
fn the_barrier_gets_the_long_exchange_and_calls_the_same_place() {
    let mut bytes = file(&SHORT, &[(BARRIER, 0)]);
    assert_eq!(barrier::find(&Elf::parse(&bytes).unwrap().unwrap()), Some(64));
    assert!(barrier::lengthen(&mut bytes).unwrap());
    assert_eq!(bytes, file(&LONG, &[(BARRIER, 0)]));
    assert!(!barrier::lengthen(&mut bytes).unwrap());
    assert_eq!(barrier::find(&Elf::parse(&bytes).unwrap().unwrap()), None);
}

#[test]
fn a_barrier_without_room_is_refused() {
    let mut next_too_near = file(&SHORT, &[(BARRIER, 0), ("next", 11)]);
    let mut used = SHORT;
    used[11] = 0x90;
    for bytes in [
        &mut next_too_near,
        &mut file(&used, &[(BARRIER, 0)]),
        &mut file(&SHORT[..10], &[(BARRIER, 0)]),
    ] {
        let before = bytes.clone();
        assert_eq!(barrier::lengthen(bytes), Err(barrier::Refused::NoRoom));
        assert_eq!(*bytes, before);
    }
}

#[test]
fn a_barrier_that_nobody_knows_is_refused() {
    let mut bytes = file(&[0x90; 16], &[(BARRIER, 0)]);
    assert!(matches!(barrier::lengthen(&mut bytes), Err(barrier::Refused::Unknown(_))));
}

#[test]
fn programs_of_other_languages_stay() {
    let mut bytes = file(&SHORT, &[("main", 0)]);
    assert!(!barrier::lengthen(&mut bytes).unwrap());
}
