//! What a registry has, has no longer, or has wrong.

use std::fs;

use vsbuild::{
    digest::Digest,
    fetch::{Error, Pushed, Reference, What},
};

use crate::{
    REPOSITORY, anonymous,
    image::{Image, MANIFEST},
    pull,
    real::{Line, Real, skopeo},
    says, want,
};

fn tag(tag: &str) -> Reference {
    Reference::Tag(tag.to_owned())
}

#[test]
fn what_is_pushed_comes_back_by_tag_and_by_digest() {
    let Some(registry) = Real::start() else { return };
    let (host, fetcher, image) = (registry.host.as_str(), anonymous(), Image::new(1));
    assert_eq!(image.push(&fetcher, host, "1.0").unwrap(), [Pushed::Sent; 3]);
    assert_eq!(image.push(&fetcher, host, "1.0").unwrap(), [Pushed::There; 3]);
    let by_tag = fetcher.manifest(host, REPOSITORY, &tag("1.0")).unwrap();
    assert_eq!((by_tag.media_type.as_str(), &by_tag.bytes), (MANIFEST, &image.manifest));
    let digest = Reference::Digest(by_tag.digest);
    assert_eq!(fetcher.manifest(host, REPOSITORY, &digest).unwrap(), by_tag);
    let directory = tempfile::tempdir().unwrap();
    let blobs = image.blobs().map(|blob| want(host, What::Blob, blob));
    let wants: Vec<_> = blobs
        .chain([want(host, What::Manifest, &image.manifest)])
        .enumerate()
        .map(|(at, want)| (want, directory.path().join(at.to_string())))
        .collect();
    for result in fetcher.fetch_all(&wants, &|_, _| ()) {
        result.unwrap();
    }
    for (want, partial) in &wants {
        assert_eq!(Digest::of(fs::read(partial).unwrap()), want.sha256);
    }
}

#[test]
fn skopeo_takes_what_is_pushed() {
    let Some(registry) = Real::start() else { return };
    let image = Image::new(2);
    image.push(&anonymous(), &registry.host, "1.0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let from = format!("docker://{}/{REPOSITORY}:1.0", registry.host);
    let to = format!("dir:{}", directory.path().display());
    if skopeo(&["--insecure-policy", "copy", "--src-tls-verify=false", &from, &to]).is_none() {
        return;
    }
    assert_eq!(fs::read(directory.path().join("manifest.json")).unwrap(), image.manifest);
    for blob in image.blobs() {
        assert!(&fs::read(directory.path().join(Digest::of(blob).hex())).unwrap() == blob);
    }
}

#[test]
fn what_skopeo_pushes_is_pulled() {
    let Some(registry) = Real::start() else { return };
    let image = Image::new(3);
    let layout = tempfile::tempdir().unwrap();
    let blobs = layout.path().join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for bytes in image.blobs().chain([&image.manifest]) {
        fs::write(blobs.join(Digest::of(bytes).hex()), bytes).unwrap();
    }
    fs::write(layout.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let (size, digest) = (image.manifest.len(), Digest::of(&image.manifest));
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{MANIFEST}","digest":"sha256:{digest}","size":{size}}}]}}"#
    );
    fs::write(layout.path().join("index.json"), index).unwrap();
    let from = format!("oci:{}", layout.path().display());
    let to = format!("docker://{}/{REPOSITORY}:two", registry.host);
    if skopeo(&[
        "--insecure-policy",
        "copy",
        "--preserve-digests",
        "--dest-tls-verify=false",
        &from,
        &to,
    ])
    .is_none()
    {
        return;
    }
    let fetcher = anonymous();
    let found = fetcher.manifest(&registry.host, REPOSITORY, &tag("two")).unwrap();
    assert_eq!(found.bytes, image.manifest);
    let partial = layout.path().join("partial");
    for blob in image.blobs() {
        pull(&fetcher, &registry.host, blob, &partial).unwrap();
        fs::remove_file(&partial).unwrap();
    }
}

#[test]
fn a_moved_tag_does_not_move_a_digest() {
    let Some(registry) = Real::start() else { return };
    let (host, fetcher) = (registry.host.as_str(), anonymous());
    let (before, after) = (Image::new(4), Image::new(5));
    before.push(&fetcher, host, "latest").unwrap();
    let locked = fetcher.manifest(host, REPOSITORY, &tag("latest")).unwrap();
    after.push(&fetcher, host, "latest").unwrap();
    let now = fetcher.manifest(host, REPOSITORY, &tag("latest")).unwrap();
    assert_eq!(now.bytes, after.manifest);
    let digest = Reference::Digest(locked.digest);
    assert_eq!(fetcher.manifest(host, REPOSITORY, &digest).unwrap().bytes, before.manifest);
}

#[test]
fn a_cut_line_costs_no_byte_twice() {
    let Some(registry) = Real::start() else { return };
    let image = Image::new(6);
    image.push(&anonymous(), &registry.host, "latest").unwrap();
    let layer = &image.layers[1];
    let line = Line::new(&registry.host, vec![1_000_000, 700_000]);
    let directory = tempfile::tempdir().unwrap();
    pull(&anonymous(), &line.host, layer, &directory.path().join("partial")).unwrap();
    // Beside the layer itself: the headers of three answers.
    let carried = line.carried();
    assert!((layer.len()..layer.len() + 5_000).contains(&carried), "{carried} bytes");
}

#[test]
fn a_deleted_blob_is_named() {
    let Some(registry) = Real::start() else { return };
    let (fetcher, image) = (anonymous(), Image::new(7));
    image.push(&fetcher, &registry.host, "latest").unwrap();
    let layer = &image.layers[0];
    fs::remove_file(registry.blob(layer)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let partial = directory.path().join("partial");
    let error = pull(&fetcher, &registry.host, layer, &partial).unwrap_err();
    assert!(matches!(error, Error::NotInRegistry { .. }), "{error}");
    let digest = Digest::of(layer).hex();
    says(
        &error,
        &[&registry.host, REPOSITORY, &digest, "404", "blob unknown", "push the image again"],
    );
    assert!(!partial.exists());
    assert_eq!(crate::image::push(&fetcher, &registry.host, layer).unwrap(), Pushed::Sent);
    pull(&fetcher, &registry.host, layer, &partial).unwrap();
}

#[test]
fn a_damaged_blob_is_never_kept() {
    let Some(registry) = Real::start() else { return };
    let (fetcher, image) = (anonymous(), Image::new(8));
    image.push(&fetcher, &registry.host, "latest").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let partial = directory.path().join("partial");
    let damage: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes[1000] ^= 1, |bytes| bytes.truncate(1000), |bytes| bytes.push(0)];
    for (damage, layer) in damage.into_iter().zip([0, 1, 1]) {
        let layer = &image.layers[layer];
        let mut bytes = layer.clone();
        damage(&mut bytes);
        fs::write(registry.blob(layer), bytes).unwrap();
        let error = pull(&fetcher, &registry.host, layer, &partial).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        let digest = Digest::of(layer).hex();
        says(&error, &[&registry.host, REPOSITORY, &digest, "nothing of it was kept"]);
        assert!(!partial.exists());
    }
}

#[test]
fn a_damaged_manifest_is_never_believed() {
    let Some(registry) = Real::start() else { return };
    let (fetcher, image) = (anonymous(), Image::new(9));
    image.push(&fetcher, &registry.host, "latest").unwrap();
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    fs::write(registry.blob(&image.manifest), text.replace("\"size\":2", "\"size\":3")).unwrap();
    let digest = Reference::Digest(Digest::of(&image.manifest));
    for reference in [digest, tag("latest")] {
        let error = fetcher.manifest(&registry.host, REPOSITORY, &reference).unwrap_err();
        says(&error, &[&registry.host, REPOSITORY, &Digest::of(&image.manifest).short()]);
    }
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let Some(registry) = Real::start() else { return };
    let (host, fetcher) = (registry.host.as_str(), anonymous());
    let error = fetcher.manifest(host, REPOSITORY, &tag("none")).unwrap_err();
    assert!(matches!(error, Error::NotInRegistry { .. }), "{error}");
    says(&error, &[&format!("{host}/{REPOSITORY}:none"), "404", "[registries."]);
    Image::new(10).push(&fetcher, host, "latest").unwrap();
    let error = fetcher.manifest(host, REPOSITORY, &tag("none")).unwrap_err();
    says(&error, &[&format!("{host}/{REPOSITORY}:none"), "manifest unknown"]);
}
