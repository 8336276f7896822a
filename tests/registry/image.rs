use vsbuild::{
    digest::Digest,
    fetch::{Error, Fetcher, Pushed, Reference},
};

use crate::REPOSITORY;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A small image of two layers.
pub(crate) struct Image {
    pub(crate) config: Vec<u8>,
    pub(crate) layers: [Vec<u8>; 2],
    pub(crate) manifest: Vec<u8>,
}

/// Bytes that do not repeat.
pub(crate) fn noise(seed: u32, length: usize) -> Vec<u8> {
    let words = (0..).map(|n: u32| (n ^ seed << 20).wrapping_mul(2_654_435_761));
    words.flat_map(u32::to_le_bytes).take(length).collect()
}

impl Image {
    pub(crate) fn new(seed: u32) -> Self {
        let layers = [noise(seed, 2_000_000), noise(seed + 1, 3_000_001)];
        let digests = layers.each_ref().map(|layer| format!("\"sha256:{}\"", Digest::of(layer)));
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            digests.join(",")
        );
        let config = config.into_bytes();
        let descriptor = |kind: &str, bytes: &[u8]| {
            let (size, digest) = (bytes.len(), Digest::of(bytes));
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"sha256:{digest}","size":{size}}}"#
            )
        };
        let layer = |bytes: &Vec<u8>| descriptor("layer.v1.tar", bytes);
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
            descriptor("config.v1+json", &config),
            layers.each_ref().map(layer).join(",")
        );
        Self { config, layers, manifest: manifest.into_bytes() }
    }

    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.layers.iter().chain([&self.config])
    }

    /// Puts everything into a registry, and says what became of the blobs.
    pub(crate) fn push(
        &self,
        fetcher: &Fetcher,
        registry: &str,
        tag: &str,
    ) -> Result<Vec<Pushed>, Error> {
        let push = |bytes: &Vec<u8>| push(fetcher, registry, bytes);
        let pushed = self.blobs().map(push).collect::<Result<_, _>>()?;
        let tag = Reference::Tag(tag.to_owned());
        let digest = fetcher.push_manifest(registry, REPOSITORY, &tag, MANIFEST, &self.manifest)?;
        assert_eq!(digest, Digest::of(&self.manifest));
        Ok(pushed)
    }
}

/// Puts one blob into a registry.
pub(crate) fn push(fetcher: &Fetcher, registry: &str, bytes: &[u8]) -> Result<Pushed, Error> {
    let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
    let open = || Ok(std::io::Cursor::new(bytes.to_owned()));
    fetcher.push_blob(registry, REPOSITORY, &digest, size, open, &|_| ())
}
