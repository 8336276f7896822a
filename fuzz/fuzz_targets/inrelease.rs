#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vsbuild::resolve::Keyring;

static KEYRING: LazyLock<Keyring> = LazyLock::new(Keyring::debian);
/// A day on which the keys of bookworm are valid, the same for every run.
const NOW: i64 = 1_735_689_600;

fuzz_target!(|bytes: &[u8]| {
    // No seed has a signature over its own text, so whatever verifies is forged.
    assert!(KEYRING.verify(bytes, NOW).is_err());
});
