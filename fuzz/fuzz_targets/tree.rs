#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::tree::Tree;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tree) = Tree::decode(bytes) else { return };
    assert_eq!(tree.encode(), bytes, "a tree has one manifest");
    assert_eq!(tree.to_draft().finish().as_ref(), Ok(&tree), "what was decoded is settled");
});
