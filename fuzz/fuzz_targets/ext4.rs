#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use vsbuild::{
    formats::{
        ext4::read::FileSystem,
        partitions,
        source::{Part, Source},
    },
    tree::{BlobSink, Content, ContentHasher},
};

/// Holes of a file may be long; a fuzzer that reads zeros finds nothing.
const READ_MAX: u64 = 1 << 20;

struct Naming;

impl BlobSink for Naming {
    fn put(&self, bytes: &mut dyn Read) -> io::Result<Content> {
        let mut hasher = ContentHasher::default();
        io::copy(&mut bytes.take(READ_MAX), &mut hasher)?;
        Ok(hasher.finish())
    }
}

fuzz_target!(|bytes: &[u8]| {
    read(&bytes);
    let Ok(found) = partitions::read(bytes) else { return };
    for (_, range) in found.partitions {
        assert!(range.start < range.end && range.end <= bytes.len() as u64);
        read(&Part { source: &bytes, start: range.start, length: range.end - range.start });
    }
});

/// Reads the files, and asks of every byte what it is for.
fn read(source: &dyn Source) {
    let Ok(system) = FileSystem::open(source) else { return };
    if let Ok(found) = system.tree(&Naming) {
        assert_eq!(found.tree.to_draft().finish().as_ref(), Ok(&found.tree), "what was read is settled");
    }
    let map = system.map();
    let mut at = 0;
    while at < system.size() {
        let place = map.at(at);
        assert!(place.end > at && place.structure <= at);
        if let Some(field) = place.field {
            let mut structure = vec![0; place.length as usize];
            if source.read_at(place.structure, &mut structure).is_ok() {
                field.show(&structure);
            }
        }
        at = place.end;
    }
}
