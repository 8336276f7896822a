#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use vsbuild::formats::ar::Archive;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut archive) = Archive::open(bytes) else { return };
    while let Ok(Some(member)) = archive.next_member() {
        let mut content = Vec::new();
        match archive.read_to_end(&mut content) {
            Ok(length) => assert_eq!(length as u64, member.size),
            Err(_) => break,
        }
    }
});
