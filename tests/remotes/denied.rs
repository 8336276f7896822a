//! Registries that do not let everybody do everything, and what else is in them.

use vsbuild::{
    fetch::{Fetcher, Mirrors, Reference},
    remote::{Body, Error},
};

use crate::{
    REPOSITORY, name, open,
    real::Real,
    server::{Answer, Server},
};

#[test]
fn a_registry_that_deletes_nothing_says_so() {
    let Some(registry) = Real::start() else { return };
    let remote = open(&format!("oci://{}/{REPOSITORY}", registry.host));
    remote.put(&name("x"), Body::Bytes(b"1")).unwrap();
    // Between us and it is one who knows no DELETE.
    let host = registry.host.clone();
    let server = Server::new(move |_, request| {
        if request.method == "DELETE" {
            return Answer::bytes(r#"{"errors":[{"code":"UNSUPPORTED"}]}"#).status(405);
        }
        Answer::new(307).header("Location", format!("http://{host}{}", request.path))
    });
    let shut = open(&format!("oci://{}/{REPOSITORY}", server.host));
    let error = shut.remove(&name("x")).unwrap_err();
    assert!(matches!(error, Error::Unable { .. }), "{error}");
    assert!(remote.has(&name("x")).unwrap());
}

#[test]
fn a_list_of_tags_goes_on_from_page_to_page() {
    let server = Server::new(|_, request| match request.query.as_str() {
        "n=1000" => Answer::bytes(r#"{"name":"x","tags":["b","c"]}"#)
            .header("Link", r#"</v2/x/tags/list?last=c&n=1000>; rel="next""#),
        "last=c&n=1000" => Answer::bytes(r#"{"tags":["a"]}"#)
            .header("Link", r#"<http://host.example.invalid/steal>; rel="next""#),
        _ => Answer::new(500),
    });
    let fetcher = Fetcher::new(Mirrors::default(), vsbuild::fetch::Options::default());
    assert_eq!(fetcher.tags(&server.host, "x").unwrap(), ["a", "b", "c"]);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn images_of_others_in_the_same_repository_are_passed_over() {
    let Some(registry) = Real::start() else { return };
    let remote = open(&format!("oci://{}/{REPOSITORY}", registry.host));
    remote.put(&name("packs/x"), Body::Bytes(b"1")).unwrap();
    let fetcher = Fetcher::new(Mirrors::default(), vsbuild::fetch::Options::default());
    let push = |tag: &str, bytes: &[u8]| {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let reference = Reference::Tag(tag.to_owned());
        fetcher.push_manifest(&registry.host, REPOSITORY, &reference, kind, bytes).unwrap();
    };
    let ours = fetcher
        .manifest(&registry.host, REPOSITORY, &Reference::Tag("packsSx".to_owned()))
        .unwrap();
    // The same image under a tag of another name, and an image that is something else.
    push("packsSy", &ours.bytes);
    let other = String::from_utf8(ours.bytes).unwrap().replace("vnd.vsbuild", "vnd.other");
    push("packsSz", other.as_bytes());
    let entries = remote.list(&name("packs")).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["packs/x"]);
    for odd in ["packs/y", "packs/z"] {
        let error = remote.get(&name(odd), 10).unwrap_err();
        assert!(matches!(error, Error::Wrong { .. }), "{error}");
    }
}
