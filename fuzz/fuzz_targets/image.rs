#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::formats::oci::{Config, Document};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Document::Index(index)) = Document::parse(bytes) {
        let _ = index.choose("amd64");
    }
    if let Ok(config) = Config::parse(bytes) {
        let written = config.to_bytes(&vec!["x"; config.diff_ids.len()]);
        let again = Config::parse(&written).expect("what was written");
        assert_eq!(again.diff_ids, config.diff_ids);
    }
});
