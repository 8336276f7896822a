//! SPDX 2.3 as JSON (the specification's schema, and its chapters 6 to 11).

use serde::Serialize;

use super::model::{Bill, Component, Id, Kind, Link, Supplier};
use crate::{digest::Digest, formats::oci::config::timestamp};

/// What is not said. It is not the same as `NONE`, which says that there is none.
const NOTHING_SAID: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<File>,
    relationships: Vec<Relationship>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<ExtractedLicence>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<String>,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    homepage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<Reference>,
    primary_package_purpose: &'static str,
}

#[derive(Serialize)]
struct Checksum {
    algorithm: &'static str,
    #[serde(rename = "checksumValue")]
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "SPDXID")]
    id: String,
    file_name: String,
    checksums: Vec<Checksum>,
    license_concluded: &'static str,
    copyright_text: &'static str,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtractedLicence {
    license_id: String,
    extracted_text: String,
    name: String,
}

/// The bill as an SPDX document, indented, with a line feed at its end.
pub fn spdx(bill: &Bill) -> String {
    let subject = &bill.components[&bill.subject];
    let files = bill.files.iter().map(|(id, file)| File {
        id: reference(id),
        file_name: format!("./{}", String::from_utf8_lossy(file.path.as_bytes())),
        checksums: vec![
            Checksum { algorithm: "SHA1", value: file.sha1.clone() },
            Checksum { algorithm: "SHA256", value: file.sha256.hex() },
        ],
        license_concluded: NOTHING_SAID,
        copyright_text: NOTHING_SAID,
    });
    let texts = bill.texts.iter().map(|(id, extracted)| ExtractedLicence {
        license_id: id.clone(),
        extracted_text: extracted.text.clone(),
        name: extracted.name.clone(),
    });
    let mut document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: subject.name.clone(),
        document_namespace: String::new(),
        creation_info: CreationInfo {
            created: timestamp(bill.epoch),
            creators: [format!("Tool: vsbuild-{}", env!("CARGO_PKG_VERSION"))],
        },
        packages: bill.components.iter().map(|(id, component)| package(id, component)).collect(),
        files: files.collect(),
        relationships: relationships(bill),
        has_extracted_licensing_infos: texts.collect(),
    };
    // The document's own name in the world is what it says.
    let content = Digest::of(text(&document));
    document.document_namespace = format!("urn:vsbuild:spdx:{}:{content}", bill.subject);
    text(&document)
}

fn text(document: &Document) -> String {
    serde_json::to_string_pretty(document).expect("a bill is plain data") + "\n"
}

fn reference(id: &Id) -> String {
    format!("SPDXRef-{id}")
}

fn package(id: &Id, component: &Component) -> Package {
    let Component { kind, name, version, summary, sha256, tree, purl, supplier, .. } = component;
    let tree = tree.iter().map(|tree| format!("vsbuild tree: {tree}"));
    let notes = component.notes.iter().map(|(name, value)| format!("{name}: {value}"));
    let comment: Vec<String> = tree.chain(notes).collect();
    let purls = purl.iter().chain(component.origin.as_ref().map(|origin| &origin.purl));
    let external_refs = purls.map(|purl| Reference {
        reference_category: "PACKAGE-MANAGER",
        reference_type: "purl",
        reference_locator: purl.clone(),
    });
    Package {
        id: reference(id),
        name: name.clone(),
        version_info: version.clone(),
        package_file_name: (*kind == Kind::File).then(|| name.clone()),
        supplier: supplier.as_ref().map(actor),
        download_location: NOTHING_SAID,
        files_analyzed: false,
        checksums: sha256
            .iter()
            .map(|digest| Checksum { algorithm: "SHA256", value: digest.hex() })
            .collect(),
        homepage: component.homepage.clone().filter(|url| is_address(url)),
        source_info: component
            .origin
            .as_ref()
            .map(|origin| format!("built from: {} {}", origin.name, origin.version)),
        license_concluded: NOTHING_SAID,
        license_declared: component.licence.clone().unwrap_or_else(|| NOTHING_SAID.to_owned()),
        copyright_text: NOTHING_SAID,
        summary: summary.clone(),
        comment: (!comment.is_empty()).then(|| comment.join("\n")),
        external_refs: external_refs.collect(),
        primary_package_purpose: purpose(*kind),
    }
}

/// Whether text can stand where an address must.
pub(super) fn is_address(url: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_graphic() && !b"<>\"{}|\\^`[]".contains(&byte);
    (url.starts_with("https://") || url.starts_with("http://")) && url.bytes().all(good)
}

/// A person or a team (SPDX 2.3, 7.5). Debian does not say which it is; its teams call themselves so.
fn actor(supplier: &Supplier) -> String {
    const TEAMS: [&str; 7] =
        ["Team", "Maintainers", "Group", "Developers", "Packagers", "Project", "Debian"];
    let team = TEAMS.iter().any(|word| supplier.name.contains(word));
    let kind = if team { "Organization" } else { "Person" };
    let name = supplier.name.replace(['(', ')'], "");
    match &supplier.email {
        Some(email) => format!("{kind}: {name} ({email})"),
        None => format!("{kind}: {name}"),
    }
}

fn purpose(kind: Kind) -> &'static str {
    match kind {
        Kind::Image | Kind::Kernel => "OPERATING-SYSTEM",
        Kind::Built => "APPLICATION",
        Kind::Package => "INSTALL",
        Kind::Set | Kind::System => "OTHER",
        Kind::Container => "CONTAINER",
        Kind::Source => "SOURCE",
        Kind::File => "FILE",
    }
}

fn relationships(bill: &Bill) -> Vec<Relationship> {
    let named = |from: &str, kind, to: &str| Relationship {
        spdx_element_id: from.to_owned(),
        relationship_type: kind,
        related_spdx_element: to.to_owned(),
        comment: None,
    };
    let all = bill.relations.iter().map(|relation| {
        let (from, to) = (&reference(&relation.from), &reference(&relation.to));
        match relation.link {
            // A package of which not all files are listed contains none (SPDX 2.3, 7.8).
            Link::Contains if bill.files.contains_key(&relation.to) => Relationship {
                comment: Some("The second is a file of the first, which no package brought."),
                ..named(from, "OTHER", to)
            },
            Link::Contains => named(from, "CONTAINS", to),
            Link::DependsOn => named(from, "DEPENDS_ON", to),
            Link::GeneratedFrom => named(from, "GENERATED_FROM", to),
            Link::BuiltWith => named(to, "BUILD_TOOL_OF", from),
            Link::PatchedWith => named(to, "PATCH_FOR", from),
        }
    });
    let mut all: Vec<Relationship> = all.collect();
    all.push(named(DOCUMENT, "DESCRIBES", &reference(&bill.subject)));
    all.sort();
    all
}
