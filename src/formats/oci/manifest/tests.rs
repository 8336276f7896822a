use proptest::prelude::*;

use super::*;

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

fn parse(text: &str) -> Result<Document, String> {
    Document::parse(text.as_bytes()).map_err(|error| error.to_string())
}

fn descriptor(media_type: &str, size: u64, more: &str) -> String {
    let digest = Digest::of(media_type);
    format!(
        "{{\"mediaType\":\"{media_type}\",\"digest\":\"sha256:{digest}\",\"size\":{size}{more}}}"
    )
}

fn manifest(media_type: &str, config: &str, layers: &[&str]) -> String {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(layer, 5, "")).collect();
    let config = descriptor(config, 7, "");
    let layers = layers.join(",");
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{media_type}\",\"config\":{config},\"layers\":[{layers}]}}"
    )
}

fn entry(media_type: &str, platform: &str) -> String {
    match platform.split('/').collect::<Vec<_>>()[..] {
        [os, architecture] => descriptor(
            media_type,
            9,
            &format!(",\"platform\":{{\"os\":\"{os}\",\"architecture\":\"{architecture}\"}}"),
        ),
        [os, architecture, variant] => descriptor(
            media_type,
            9,
            &format!(
                ",\"platform\":{{\"os\":\"{os}\",\"architecture\":\"{architecture}\",\"variant\":\"{variant}\"}}"
            ),
        ),
        _ => descriptor(media_type, 9, ""),
    }
}

fn index(entries: &[String]) -> String {
    format!("{{\"schemaVersion\":2,\"manifests\":[{}]}}", entries.join(","))
}

fn choose(entries: &[String], architecture: &str) -> Result<Descriptor, String> {
    match parse(&index(entries)).unwrap() {
        Document::Index(index) => index.choose(architecture).map_err(|error| error.to_string()),
        Document::Manifest(_) => unreachable!("it has no layers"),
    }
}

#[test]
fn both_spellings_mean_the_same() {
    let compressions = [Compression::Plain, Compression::Gzip, Compression::Zstd];
    let oci = ["", "+gzip", "+zstd"].map(|end| format!("{LAYER}{end}"));
    let docker = ["", ".gzip", ".zstd"]
        .map(|end| format!("application/vnd.docker.image.rootfs.diff.tar{end}"));
    for (own, config, layers) in [(MANIFEST, CONFIG, oci), (DOCKER_MANIFEST, DOCKER_CONFIG, docker)]
    {
        let text = manifest(own, config, &layers.each_ref().map(String::as_str));
        let Ok(Document::Manifest(manifest)) = parse(&text) else { panic!("{text}") };
        let media_type = MediaType::Config;
        let descriptor = Descriptor { media_type, digest: Digest::of(config), size: 7 };
        assert_eq!(manifest.config, descriptor);
        let kinds: Vec<_> = manifest.layers.iter().map(|layer| layer.media_type).collect();
        assert_eq!(kinds, compressions.map(MediaType::Layer));
    }
    for own in [INDEX, DOCKER_LIST] {
        let text = format!("{{\"schemaVersion\":2,\"mediaType\":\"{own}\",\"manifests\":[]}}");
        assert_eq!(parse(&text), Ok(Document::Index(Index { entries: vec![] })));
    }
}

#[test]
fn what_is_no_image_is_told_apart() {
    let good = manifest(MANIFEST, CONFIG, &[LAYER]);
    assert!(parse(&good).is_ok());
    for (text, told) in [
        ("".to_owned(), "manifest is malformed"),
        ("[]".to_owned(), "manifest is malformed"),
        ("{\"schemaVersion\":1,\"fsLayers\":[],\"name\":\"x\"}".to_owned(), "schema 1"),
        ("{\"schemaVersion\":2}".to_owned(), "not clearly"),
        (good.replace("\"schemaVersion\":2", "\"schemaVersion\":3"), "not clearly"),
        (good.replace(MANIFEST, INDEX), "not clearly"),
        (good.replace("\"layers\"", "\"manifests\":[],\"layers\""), "not clearly"),
        (
            manifest(MANIFEST, "application/vnd.cncf.helm.config.v1+json", &[]),
            "artifact of type `application/vnd.cncf.helm",
        ),
        (
            manifest(MANIFEST, CONFIG, &["application/x"]),
            "`application/x` is no known type of layer",
        ),
        (manifest(MANIFEST, CONFIG, &[CONFIG]), "is no known type of layer"),
        (
            manifest(
                MANIFEST,
                CONFIG,
                &["application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"],
            ),
            "foreign layers",
        ),
        (
            manifest(
                MANIFEST,
                CONFIG,
                &["application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"],
            ),
            "foreign layers",
        ),
        (good.replace("sha256:", "sha512:"), "no sha256 digest"),
        (good.replace("\"size\":7", "\"size\":-7"), "malformed"),
        (good.replace("\"size\":7", "\"size\":5000000"), "at most 4194304 are taken"),
        (good.replace("\"size\":5", "\"size\":99999999999"), "at most 68719476736 are taken"),
        (manifest(MANIFEST, CONFIG, &[LAYER; 257]), "257 layers; at most 256"),
        (" ".repeat(5 << 20), "longer than 4194304"),
    ] {
        let error = parse(&text).expect_err(&text);
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn the_image_of_the_platform_is_chosen() {
    let all = [
        entry(MANIFEST, "windows/amd64"),
        entry(DOCKER_LAYER, "linux/amd64/v3"),
        entry(DOCKER_MANIFEST, "linux/amd64"),
        entry(MANIFEST, "linux/arm64/v8"),
        entry(MANIFEST, "unknown/unknown"),
    ];
    assert_eq!(choose(&all, "amd64").unwrap().digest, Digest::of(DOCKER_MANIFEST));
    assert_eq!(choose(&all, "arm64").unwrap().digest, Digest::of(MANIFEST));
    let told = choose(&all, "riscv64").unwrap_err();
    let expected = "there is no image for linux/riscv64 here, \
                    only for windows/amd64, linux/amd64/v3, linux/amd64, linux/arm64/v8";
    assert_eq!(told, expected);
    assert!(choose(&[], "amd64").unwrap_err().contains("only for nothing that has a name"));
}

#[test]
fn an_entry_that_says_nothing_is_taken_if_it_is_the_only_one() {
    let silent = entry(DOCKER_MANIFEST, "");
    let other = entry(MANIFEST, "linux/arm64");
    let chosen = choose(&[other.clone(), silent.clone()], "amd64").unwrap();
    assert_eq!(chosen.digest, Digest::of(DOCKER_MANIFEST));
    let better = choose(&[silent.clone(), other.clone()], "arm64").unwrap();
    assert_eq!(better.digest, Digest::of(MANIFEST));
    assert!(choose(&[silent.clone(), silent, other], "amd64").is_err());
}

#[test]
fn an_index_in_an_index_is_refused() {
    let told = choose(&[entry(DOCKER_LIST, "linux/amd64")], "amd64").unwrap_err();
    assert!(told.contains("an index inside an index"), "{told}");
    let told = choose(&[entry(LAYER, "linux/amd64")], "amd64").unwrap_err();
    assert!(told.contains("no known type of image"), "{told}");
}

#[test]
fn a_descriptor_takes_only_its_bytes() {
    let media_type = MediaType::Config;
    let descriptor = Descriptor { media_type, digest: Digest::of("abc"), size: 3 };
    assert!(descriptor.check(b"abc").is_ok());
    let told = |bytes| descriptor.check(bytes).unwrap_err().to_string();
    assert!(told(b"ab").contains("should have 3 bytes, but has 2"));
    assert!(told(b"abd").contains("expected sha256:ba7816bf"));
}

#[test]
fn the_canonical_manifest_is_fixed() {
    let bytes = canonical_manifest(b"{}", &[(Digest::of("a"), 1024), (Digest::of("b"), 2048)]);
    let expected = "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\
         \"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\"size\":2},\
         \"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\
         \"digest\":\"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\",\"size\":1024},\
         {\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\
         \"digest\":\"sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d\",\"size\":2048}]}";
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
    assert!(matches!(Document::parse(&bytes), Ok(Document::Manifest(_))));
}

proptest! {
    #[test]
    fn reading_never_panics(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..60),
        platform in "linux/(amd64|arm64)(/v[0-9])?",
    ) {
        let _ = Document::parse(&noise);
        for text in [manifest(MANIFEST, CONFIG, &[LAYER]), index(&[entry(MANIFEST, &platform)])] {
            let mut bytes = text.into_bytes();
            for (at, with) in &places {
                *at.get_mut(&mut bytes) = *with;
            }
            if let Ok(Document::Index(index)) = Document::parse(&bytes) {
                let _ = index.choose("amd64");
            }
        }
    }
}
