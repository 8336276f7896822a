#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::cache::{Image, Index, PACK_SIZE, PACKED_MOST, Way};

// What a cache says of where things are: each text has one spelling, and no number in it leads out of a pack.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(index) = Index::decode(bytes) {
        assert_eq!(index.encode().as_bytes(), bytes);
        assert!(index.length() <= PACK_SIZE);
        let mut end = 0;
        for (offset, segment) in index.segments() {
            assert_eq!(offset, end, "segments lie one after another");
            end += segment.length;
            assert!(segment.start.checked_add(segment.length).is_some());
        }
        assert_eq!(end, index.length());
    }
    if let Ok(way) = Way::decode(bytes) {
        assert_eq!(way.encode().as_bytes(), bytes);
        assert!(way.packs.values().all(|size| *size <= PACKED_MOST));
    }
    if let Ok(image) = Image::decode(bytes) {
        assert_eq!(image.encode().as_bytes(), bytes);
    }
});
