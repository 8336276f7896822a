#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::{
    formats::oci::layer::{self, Limits},
    tree::MemoryBlobs,
};

fuzz_target!(|bytes: &[u8]| {
    let blobs = MemoryBlobs::default();
    let read = |bytes: &[u8]| {
        layer::read(bytes, &[], &Limits::default(), &blobs, &mut std::io::sink())
    };
    let Ok(first) = read(bytes) else { return };
    let mut written = Vec::new();
    if layer::write(&first.tree, &blobs, &mut written).is_ok() {
        assert_eq!(read(&written).expect("what was written").tree, first.tree);
    }
});
