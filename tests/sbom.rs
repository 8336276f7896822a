//! Bills of material through the real program, held against the official validators.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::lab::Lab;
use serde_json::Value;

const SCRIPT: &str = "tests/sbom/validate.py";
const FORMAT: &str =
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n";

/// An image with a package of two licences, one that is documented by another, and one that says nothing of licences.
fn lab() -> Lab {
    let mut lab = Lab::new();
    let copyright = format!(
        "{FORMAT}Files: *\nLicense: GPL-2+ or Expat\n\nFiles: odd\nLicense: odd\n Do as you like.\n"
    );
    lab.text_package(
        "app",
        &[("usr/bin/app", "#!/bin/sh\n"), ("usr/share/doc/app/copyright", &copyright)],
    );
    lab.text_package("bare", &[("usr/share/bare", "bare\n")]);
    lab.control = "Depends: nothing | bare, app (>= 0.5), elsewhere\n".to_owned();
    lab.package("linked", |root| {
        let docs = root.join("usr/share/doc");
        fs::create_dir_all(&docs).unwrap();
        std::os::unix::fs::symlink("app", docs.join("linked")).unwrap();
    });
    lab.control.clear();
    lab.text_package(
        "linux-source-9.1",
        &[
            ("usr/src/linux.c", "int main;\n"),
            (
                "usr/share/doc/linux-source-9.1/copyright",
                &format!("{FORMAT}Files: *\nLicense: GPL-2\n"),
            ),
        ],
    );
    lab.set("root.packages", &["app", "bare", "linked"], &["app", "bare", "linked"]);
    lab.set("source", &["linux-source-9.1"], &["linux-source-9.1"]);
    lab.env.write(
        "recipes/source.toml",
        "kind = \"packages\"\ndescription = \"A source\"\ninclude = [\"linux-source-9.1\"]\n",
    );
    lab.script("helper", "echo helps > $out/helper\n", "");
    lab.env.write(
        "recipes/root.toml",
        "kind = \"rootfs\"\npackages = [\"app\", \"bare\", \"linked\"]\nremove = [\"/usr/share/doc\"]\n\
         layers = [{ from = \"helper\", path = \"/helper\", at = \"/usr/bin/helper\" }]\n\
         [links]\n\"/usr/sbin/init\" = \"/usr/bin/app\"\n[files]\n\"/etc/motd\" = { text = \"hello\\n\" }\n",
    );
    lab.env.write("kernels/x.config", "CONFIG_X=y\n");
    lab.env.write("kernels/one.patch", "--- a\n+++ b\n");
    lab.env.write("kernels/build.sh", "cat $SCRIPT > $out/bzImage; echo ELF > $out/vmlinux\n");
    lab.env.write(
        "kernels/linux.toml",
        "kind = \"kernel\"\nsource = { from = \"source\", path = \"/usr/src/linux.c\" }\ntools = \"tools\"\n\
         script = \"build.sh\"\nfragments = [\"x.config\"]\npatches = [\"one.patch\"]\n",
    );
    lab.env.write(
        "recipes/tiny.toml",
        "kind = \"image\"\nkernel = \"linux\"\nrootfs = \"root\"\ncmdline = \"console=ttyS0\"\n\
         epoch = 2023-06-10T00:00:00Z\n[disk]\nfree = \"1M\"\n",
    );
    lab
}

fn write(lab: &Lab, name: &str, format: &str) -> PathBuf {
    let out = lab.env.path().join(format!("{name}.{format}.json"));
    lab.run(&["sbom", name, "--format", format, "-o", out.to_str().unwrap()]).good();
    out
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What the official validators say of documents; they must be content.
#[track_caller]
fn validated(args: &[&Path]) -> String {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../python/bin/python");
    assert!(python.exists(), "{} is not there; ci/install installs it", python.display());
    let output = Command::new(python).arg(SCRIPT).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(output.status.success(), "{said}");
    said
}

fn named<'v>(list: &'v Value, name: &str) -> &'v Value {
    let found = list.as_array().unwrap().iter().find(|element| element["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {name}"))
}

#[test]
fn the_validators_are_content_with_both_forms() {
    let lab = lab();
    let (spdx, cyclonedx) = (write(&lab, "tiny", "spdx"), write(&lab, "tiny", "cyclonedx"));
    let said = validated(&[&spdx, &cyclonedx]);
    let count = |list: &Value| list.as_array().unwrap().len();
    let (spdx, cyclonedx) = (json(&spdx), json(&cyclonedx));
    let (packages, files) = (count(&spdx["packages"]), count(&spdx["files"]));
    assert!(said.contains(&format!("spdx {packages} packages {files} files")), "{said}");
    let components = count(&cyclonedx["components"]);
    assert_eq!(components + 1, packages + files, "both forms say the same");
    assert!(said.contains(&format!("cyclonedx {components} components")), "{said}");
}

#[test]
fn a_document_that_is_not_right_is_noticed() {
    let lab = lab();
    for (format, from, to) in [
        ("spdx", "GPL-2.0-or-later", "GPL-7.0"),
        ("cyclonedx", "\"operating-system\"", "\"thing\""),
    ] {
        let path = write(&lab, "tiny", format);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replace(from, to)).unwrap();
        assert!(std::panic::catch_unwind(|| validated(&[&path])).is_err(), "{format}");
    }
}

#[test]
fn every_identifier_of_a_licence_is_one_that_spdx_lists() {
    let said = validated(&[Path::new("--identifiers"), Path::new("src/bill/identifiers.txt")]);
    assert!(said.contains(" identifiers"), "{said}");
}

#[test]
fn every_package_is_there_with_source_licence_and_digest() {
    let lab = lab();
    let document = json(&write(&lab, "tiny", "spdx"));
    let packages = &document["packages"];
    let app = named(packages, "app");
    assert_eq!(app["versionInfo"], "1.0");
    assert_eq!(app["supplier"], "Person: Nobody (nobody@example.invalid)");
    assert_eq!(app["sourceInfo"], "built from: app 1.0");
    assert_eq!(app["externalRefs"][0]["referenceLocator"], "pkg:deb/debian/app@1.0?arch=amd64");
    let deb = fs::read(lab.package_file("app")).unwrap();
    assert_eq!(app["checksums"][0]["checksumValue"], vsbuild::digest::Digest::of(deb).hex());
    let licence = app["licenseDeclared"].as_str().unwrap();
    assert!(licence.starts_with("LicenseRef-odd-"), "{licence}");
    assert!(licence.ends_with(" AND (GPL-2.0-or-later OR MIT)"), "{licence}");
    let reference = licence.split(' ').next().unwrap();
    let texts = document["hasExtractedLicensingInfos"].as_array().unwrap();
    let text = texts.iter().find(|text| text["licenseId"] == reference).unwrap();
    assert_eq!(text["extractedText"], "Do as you like.");
    assert_eq!(named(packages, "linked")["licenseDeclared"], licence);
    assert_eq!(named(packages, "bare")["licenseDeclared"], "NOASSERTION");
    let kernel = named(packages, "linux");
    assert_eq!(
        (&kernel["versionInfo"], &kernel["licenseDeclared"]),
        (&"1.0".into(), &"GPL-2.0-only".into())
    );
    assert_eq!(kernel["sourceInfo"], "built from: linux-source-9.1 1.0");
    let patch = named(packages, "one.patch");
    assert_eq!(
        patch["checksums"][0]["checksumValue"],
        vsbuild::digest::Digest::of("--- a\n+++ b\n").hex()
    );
}

#[test]
fn elements_are_related_as_they_were_made() {
    let lab = lab();
    let document = json(&write(&lab, "tiny", "spdx"));
    let id = |list: &str, key: &str, name: &str| {
        let all = document[list].as_array().unwrap();
        let found = all.iter().find(|element| element[key] == name);
        found.unwrap_or_else(|| panic!("no {name}"))["SPDXID"].as_str().unwrap().to_owned()
    };
    let package = |name: &str| id("packages", "name", name);
    let file = |name: &str| id("files", "fileName", name);
    let relations: BTreeSet<(String, String, String)> = document["relationships"]
        .as_array()
        .unwrap()
        .iter()
        .map(|relation| {
            let text = |key: &str| relation[key].as_str().unwrap().to_owned();
            (text("spdxElementId"), text("relationshipType"), text("relatedSpdxElement"))
        })
        .collect();
    for (from, kind, to) in [
        ("SPDXRef-DOCUMENT".to_owned(), "DESCRIBES", package("tiny")),
        (package("tiny"), "CONTAINS", package("root")),
        (package("tiny"), "CONTAINS", package("disk.img")),
        (package("disk.img"), "GENERATED_FROM", package("root")),
        (package("vmlinux"), "GENERATED_FROM", package("linux")),
        (package("root.packages"), "CONTAINS", package("app")),
        (package("linked"), "DEPENDS_ON", package("app")),
        (package("linked"), "DEPENDS_ON", package("bare")),
        (package("linux"), "GENERATED_FROM", package("source")),
        (package("one.patch"), "PATCH_FOR", package("linux")),
        (package("tools"), "BUILD_TOOL_OF", package("helper")),
        // Of a package that contains files SPDX wants all of them.
        (package("root"), "OTHER", file("./usr/bin/helper")),
        (file("./usr/bin/helper"), "GENERATED_FROM", package("helper")),
    ] {
        let relation = (from, kind.to_owned(), to);
        assert!(relations.contains(&relation), "{relation:?} is not among\n{relations:#?}");
    }
    let files: Vec<&str> = document["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["fileName"].as_str().unwrap())
        .collect();
    assert!(files.contains(&"./etc/motd") && files.contains(&"./var/lib/dpkg/status"), "{files:?}");
    assert!(!files.contains(&"./usr/bin/app"), "a file of a package is not loose: {files:?}");
}

#[test]
fn the_hashes_of_the_image_are_those_of_its_files() {
    let lab = lab();
    let made: Value = serde_json::from_str(&lab.run(&["image", "tiny", "--json"]).good()).unwrap();
    let document = json(&write(&lab, "tiny", "cyclonedx"));
    assert_eq!(document["metadata"]["timestamp"], "2023-06-10T00:00:00Z");
    assert_eq!(document["metadata"]["component"]["name"], "tiny");
    for file in &made["files"].as_array().unwrap()[..3] {
        let path = Path::new(file["path"].as_str().unwrap());
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(named(&document["components"], name)["hashes"][0]["content"], file["sha256"]);
    }
    assert_eq!(named(&document["components"], "app")["scope"], "required");
    assert_eq!(named(&document["components"], "shell")["scope"], "excluded");
}

#[test]
fn one_image_has_one_bill_in_any_store_locale_and_time_zone() {
    let (one, other) = (lab(), lab());
    for format in ["spdx", "cyclonedx"] {
        let first = fs::read(write(&one, "tiny", format)).unwrap();
        let out = other.env.path().join(format);
        let mut command = other.command(&[
            "sbom",
            "tiny",
            "--format",
            format,
            "-j",
            "1",
            "-o",
            out.to_str().unwrap(),
        ]);
        command.env("TZ", "Asia/Kathmandu").env("LC_ALL", "tr_TR.UTF-8").env("LANG", "C");
        assert!(command.output().unwrap().status.success());
        assert_eq!(fs::read(&out).unwrap(), first, "{format}");
        let text = String::from_utf8(first).unwrap();
        assert!(!text.contains(one.env.path().to_str().unwrap()), "nothing of the host is in it");
        let shown = one.run(&["sbom", "tiny", "--format", format]).good();
        assert_eq!(shown, text, "on standard output it is the same");
    }
}

#[test]
fn a_bill_takes_the_place_of_an_older_one_as_a_whole() {
    let lab = lab();
    let out = write(&lab, "tiny", "spdx");
    let (text, other) = (fs::read(&out).unwrap(), lab.env.path().join("other"));
    // Another name for the old one: what is written into it would be seen there.
    fs::hard_link(&out, &other).unwrap();
    let args = ["sbom", "tiny", "--format", "cyclonedx", "-o", out.to_str().unwrap()];
    lab.run(&args).good();
    assert_eq!(fs::read(&other).unwrap(), text);
    assert_eq!(json(&out)["bomFormat"], "CycloneDX");
    let left = fs::read_dir(lab.env.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_str().unwrap().contains("partial")));
    // What is no file is not replaced.
    fs::remove_file(&out).unwrap();
    std::os::unix::fs::symlink(&other, &out).unwrap();
    lab.run(&args).good();
    assert!(fs::symlink_metadata(&out).unwrap().is_symlink());
    assert_eq!(json(&other)["bomFormat"], "CycloneDX");
}

#[test]
fn a_bill_does_not_depend_on_what_the_store_still_has() {
    let lab = lab();
    let first = fs::read(write(&lab, "tiny", "spdx")).unwrap();
    lab.run(&["store", "gc"]).good();
    assert_eq!(fs::read(write(&lab, "tiny", "spdx")).unwrap(), first);
}
