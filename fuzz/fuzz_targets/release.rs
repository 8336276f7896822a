#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::formats::deb::release;

fuzz_target!(|bytes: &[u8]| {
    let _ = release::parse(bytes);
});
