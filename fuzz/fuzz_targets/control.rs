#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::formats::deb::{
    control::Paragraphs,
    relation::{relations, version},
};

fuzz_target!(|text: &str| {
    for paragraph in Paragraphs::new(text).flatten() {
        for (_, value) in paragraph.iter() {
            if let Ok(version) = version(value) {
                assert_eq!(version.cmp(&version.clone()), std::cmp::Ordering::Equal);
            }
            let Ok(groups) = relations(value) else { continue };
            for relation in groups.iter().flatten() {
                let again = relations(&relation.to_string()).expect("what we write we read");
                assert_eq!(again, [[relation.clone()]]);
            }
        }
    }
});
