//! What a key is made of. ARCHITECTURE.md has the table; the golden tests below hold it.

use std::fmt;

use serde::Serialize;

use super::Derivation;
use crate::digest::Digest;

/// The first line of every canonical form. Another form gets another number, and every derivation another key.
pub const FORMAT: &str = "vsbuild-derivation 1";

/// The name of a derivation whose inputs are known by content: sha256 of its canonical form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Digest);

impl Key {
    /// The digest, for the store, which knows no derivations.
    pub fn digest(&self) -> &Digest {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Derivation<Digest> {
    /// The canonical form: [`FORMAT`], a line feed, and the derivation as JSON without white space, fields in the
    /// order of the types, maps and sets sorted by key.
    pub fn canonical(&self) -> String {
        format!("{FORMAT}\n{}", self.json(false))
    }

    /// Sha256 of the canonical form.
    pub fn key(&self) -> Key {
        Key(Digest::of(self.canonical()))
    }
}

impl<I: Serialize> Derivation<I> {
    /// The derivation as JSON, for the key or (`indented`) for a person.
    pub fn json(&self, indented: bool) -> String {
        let text =
            if indented { serde_json::to_string_pretty(self) } else { serde_json::to_string(self) };
        text.expect(
            "recipes are UTF-8, so every path in a derivation is, and nothing else can fail",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{
        path::GuestPath,
        plan::{
            Attributes, Container, Disk, Entry, FileContent, Function, ImageFrom, Layer, OciImage,
            Packages, Preload, Rootfs, Run, RunInput, Size, Unpack,
        },
    };

    fn path(text: &str) -> GuestPath {
        GuestPath::lenient(text).expect("a path")
    }

    fn layer(name: &str, tree: &str, from: &str, at: &str) -> Layer<Digest> {
        Layer { name: name.to_owned(), tree: Digest::of(tree), from: path(from), at: path(at) }
    }

    fn run() -> Run<Digest> {
        let script = RunInput::Tree { tree: Digest::of("script"), path: path("/build.sh") };
        Run {
            format: 1,
            root: Digest::of("root"),
            inputs: BTreeMap::from([
                ("SCRIPT".to_owned(), script),
                ("SYMBOLS".to_owned(), RunInput::Text("CONFIG_X=y\n".to_owned())),
            ]),
            env: BTreeMap::from([("ARCH".to_owned(), "x86_64".to_owned())]),
            epoch: 1,
        }
    }

    /// One derivation of each kind that has a key, with every field in use.
    fn samples() -> Vec<(&'static str, Derivation<Digest>)> {
        let rootfs = Rootfs {
            format: 1,
            layers: vec![layer("a", "a", "/", "/"), layer("b", "b", "/x", "/y")],
            replace: BTreeSet::from([path("/etc/x")]),
            remove: BTreeSet::from([path("/usr/share/doc")]),
            add: BTreeMap::from([
                (
                    path("/etc/x"),
                    Entry::File {
                        content: FileContent::Copy { tree: Digest::of("t"), path: path("f") },
                        mode: 0o644,
                        uid: 1,
                        gid: 2,
                    },
                ),
                (path("/init"), Entry::Symlink("usr/sbin/init".to_owned())),
                (
                    path("/dev/null"),
                    Entry::Device { block: false, major: 1, minor: 3, mode: 0o666, uid: 0, gid: 0 },
                ),
                (path("/srv"), Entry::Directory { mode: 0o755, uid: 0, gid: 0 }),
            ]),
            attributes: BTreeMap::from([(
                path("/usr/bin/ping"),
                Attributes { mode: Some(0o755), owner: None, capability: Some(vec![1, 0, 0, 2]) },
            )]),
            epoch: 1,
            errata: BTreeMap::new(),
        };
        let links = BTreeMap::from([(path("/usr/bin/awk"), "mawk".to_owned())]);
        let packages = Packages { format: 1, packages: vec![layer("a", "a", "/", "/")], links };
        let disk = Disk {
            writer: 1,
            rootfs: Digest::of("rootfs"),
            table: "none",
            partition: 0,
            size: Size::Free(1 << 26),
            spare_inodes: 1024,
            journal: 0,
            label: "root".to_owned(),
            epoch: 1,
        };
        vec![
            ("unpack", Derivation::Unpack(Unpack { reader: 1, package: Digest::of("deb") })),
            ("packages", Derivation::Packages(packages)),
            ("run", Derivation::Run(run())),
            ("rootfs", Derivation::Rootfs(rootfs)),
            ("disk", Derivation::Disk(disk)),
        ]
        .into_iter()
        .chain(containers())
        .collect()
    }

    fn containers() -> [(&'static str, Derivation<Digest>); 5] {
        let image =
            |from| Derivation::OciImage(OciImage { format: 1, architecture: "amd64", from });
        let blobs = ImageFrom::Blobs {
            manifest: Digest::of("manifest"),
            config: Digest::of("config"),
            layers: vec![Digest::of("layer")],
        };
        let layout = ImageFrom::Layout { tree: Digest::of("layout"), tag: Some("v1".to_owned()) };
        let archive =
            ImageFrom::Archive { tree: Digest::of("tree"), path: path("x.tar"), tag: None };
        let text = |text: &str| text.to_owned();
        let function = Function {
            format: 1,
            architecture: "amd64",
            layers: vec![layer("a", "a", "/", "/"), layer("b", "b", "/x", "/y")],
            entrypoint: vec![text("/server")],
            command: vec![text("-v")],
            user: text("1000:1000"),
            workdir: text("/"),
            env: BTreeMap::from([(text("A"), text("b"))]),
            ports: BTreeSet::from([50000]),
            labels: BTreeMap::from([(text("k"), text("v"))]),
            epoch: 1,
            errata: BTreeMap::new(),
        };
        let container = Container {
            image: Digest::of("image"),
            reference: text("localhost/f:latest"),
            entrypoint: Some(vec![text("/other")]),
            command: Some(vec![text("-q")]),
            env: BTreeMap::from([(text("C"), text("d"))]),
            invoke: Some(vec![text("port 50000")]),
        };
        let preload = Preload {
            format: 1,
            namespace: text("default"),
            blobs: false,
            containers: BTreeMap::from([(text("f"), container)]),
            epoch: 1,
        };
        [
            ("oci-image", image(blobs)),
            ("oci-layout", image(layout)),
            ("oci-archive", image(archive)),
            ("function", Derivation::Function(function)),
            ("preload", Derivation::Preload(preload)),
        ]
    }

    #[test]
    fn keys_are_fixed() {
        let keys: Vec<String> = samples()
            .iter()
            .map(|(kind, derivation)| format!("{kind} {}", derivation.key()))
            .collect();
        insta::assert_snapshot!(keys.join("\n"));
    }

    #[test]
    fn the_canonical_form_is_fixed() {
        let forms: Vec<String> =
            samples().iter().map(|(_, derivation)| derivation.canonical()).collect();
        insta::assert_snapshot!(forms.join("\n"));
    }

    #[test]
    fn what_things_are_called_is_in_no_key() {
        let set = |name: &str| {
            let packages = vec![layer(name, "a", "/", "/")];
            Derivation::Packages(Packages { format: 1, packages, links: BTreeMap::new() }).key()
        };
        assert_eq!(set("one"), set("other"));
    }

    #[test]
    fn whatever_a_script_can_see_is_in_its_key() {
        let key = |run: Run<Digest>| Derivation::Run(run).key();
        let mut keys = BTreeSet::from([key(run())]);
        let env = BTreeMap::from([("ARCH".to_owned(), "arm64".to_owned())]);
        let mut moved = run();
        let script = RunInput::Tree { tree: Digest::of("script"), path: path("/other.sh") };
        moved.inputs.insert("SCRIPT".to_owned(), script);
        for other in [
            Run { format: 2, ..run() },
            Run { root: Digest::of("other"), ..run() },
            Run { env, ..run() },
            Run { epoch: 2, ..run() },
            moved,
        ] {
            assert!(keys.insert(key(other)), "two runs with one key");
        }
    }

    #[test]
    fn inputs_are_all_that_a_derivation_names() {
        for (kind, derivation) in samples() {
            let inputs = derivation.inputs().len();
            let expected = match kind {
                "unpack" | "packages" | "disk" | "oci-layout" | "oci-archive" | "preload" => 1,
                "run" | "function" => 2,
                _ => 3,
            };
            assert_eq!(inputs, expected, "{kind}");
            assert_eq!(derivation.try_map(|digest| Some(*digest)), Some(derivation.clone()));
            assert_eq!(derivation.try_map(|_| None::<Digest>), None);
        }
    }
}
