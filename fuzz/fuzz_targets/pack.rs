#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::cache::{PACK_SIZE, unpack};

// A pack as a cache may send it: it never comes to more than a pack may have, and to the same each time.
fuzz_target!(|bytes: &[u8]| {
    let Ok(unpacked) = unpack(bytes, PACK_SIZE) else { return };
    assert!(unpacked.len() as u64 <= PACK_SIZE);
    assert_eq!(unpack(bytes, PACK_SIZE).ok().as_ref(), Some(&unpacked));
    if let Some(less) = (unpacked.len() as u64).checked_sub(1) {
        assert!(unpack(bytes, less).is_err(), "it is longer than {less} bytes");
    }
});
