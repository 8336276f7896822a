#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::{formats::deb, tree::MemoryBlobs};

fuzz_target!(|bytes: &[u8]| {
    let blobs = MemoryBlobs::default();
    let Ok(package) = deb::read(bytes, &blobs) else { return };
    let Ok(tree) = deb::merged_usr(package.tree, &package.name) else { return };
    let Ok(whole) = deb::database(&tree, &blobs, &blobs) else { return };
    whole.finish().expect("a database in a tree leaves it one");
});
