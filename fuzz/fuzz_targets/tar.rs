#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::{
    formats::tar::{Options, read},
    path::GuestPath,
    tree::{BlobSink, MemoryBlobs, Meta, Time, Tree},
};

fuzz_target!(|bytes: &[u8]| {
    let blobs = MemoryBlobs::default();
    let options = Options { special_files: true, ..Options::default() };
    let bytes = with_checksums(bytes);
    let Ok(mut draft) = read(&*bytes, &options, &mut |_, content| blobs.put(content)) else {
        return;
    };
    let paths: Vec<GuestPath> = draft.iter().map(|(path, _)| path.clone()).collect();
    if paths.is_empty() {
        return;
    }
    let meta = Meta::root_owned(0o755, Time::default());
    for path in &paths {
        draft.ensure_parents(path, &meta);
    }
    let tree = draft.finish().expect("what the reader takes is a tree");
    assert_eq!(Tree::decode(&tree.encode()).as_ref(), Ok(&tree));
});

/// Sets the checksum in every block that could be a header; the fuzzer would hardly ever guess it.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..].starts_with(b"ustar")) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}
