#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::bundle::Manifest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::decode(bytes) else { return };
    assert_eq!(manifest.encode(), bytes);
});
