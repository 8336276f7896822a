#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::formats::bolt;

fuzz_target!(|bytes: &[u8]| {
    let Ok(database) = bolt::read(bytes) else { return };
    let Ok(written) = bolt::write(&database) else { return };
    assert_eq!(bolt::read(&written).as_ref(), Ok(&database), "what was read can be written");
});
