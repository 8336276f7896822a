#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::formats::deb::index;

fuzz_target!(|bytes: &[u8]| {
    let Ok(entries) = index::parse(bytes) else { return };
    for entry in &entries {
        // Comparing versions is where long numbers could hurt.
        let order = entry.version.cmp(&entries[0].version);
        assert_eq!(entries[0].version.cmp(&entry.version), order.reverse());
    }
});
