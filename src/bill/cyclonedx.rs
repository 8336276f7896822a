//! CycloneDX 1.6 as JSON (ECMA-424, and its schema bom-1.6).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    model::{Bill, Component, Id, Kind, Origin},
    spdx::is_address,
};
use crate::{digest::Digest, formats::oci::config::timestamp};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Element>,
    dependencies: Vec<Dependency>,
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Element,
}

#[derive(Serialize)]
struct Tools {
    components: [Tool; 1],
}

#[derive(Serialize)]
struct Tool {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Element {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Organization>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<Licence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pedigree: Option<Pedigree>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<ExternalReference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
}

#[derive(Serialize)]
struct Organization {
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contact: Vec<Contact>,
}

#[derive(Serialize)]
struct Contact {
    email: String,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct Licence {
    acknowledgement: &'static str,
    expression: String,
}

#[derive(Serialize)]
struct Pedigree {
    ancestors: [Box<Element>; 1],
}

#[derive(Serialize)]
struct ExternalReference {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

#[derive(Serialize)]
struct Property {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Evidence {
    licenses: Vec<Seen>,
}

#[derive(Serialize)]
struct Seen {
    license: Text,
}

#[derive(Serialize)]
struct Text {
    name: String,
    text: Attachment,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    content_type: &'static str,
    content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    id: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    depends_on: BTreeSet<String>,
}

/// The bill as a CycloneDX document, indented, with a line feed at its end.
///
/// The text of a licence that SPDX does not list stands with the first component that names it.
pub fn cyclonedx(bill: &Bill) -> String {
    let mut shown = BTreeSet::new();
    let mut elements: Vec<Element> = Vec::new();
    for (id, component) in bill.components.iter().filter(|(id, _)| **id != bill.subject) {
        elements.push(element(id, component, bill, &mut shown));
    }
    elements.extend(bill.files.iter().map(|(id, file)| Element {
        kind: "file",
        id: Some(id.to_string()),
        name: file.path.to_string(),
        scope: Some("required"),
        hashes: vec![
            Hash { alg: "SHA-1", content: file.sha1.clone() },
            Hash { alg: "SHA-256", content: file.sha256.hex() },
        ],
        ..Element::default()
    }));
    let subject = &bill.components[&bill.subject];
    let mut document = Document {
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: String::new(),
        version: 1,
        metadata: Metadata {
            timestamp: timestamp(bill.epoch),
            tools: Tools {
                components: [Tool {
                    kind: "application",
                    name: "vsbuild",
                    version: env!("CARGO_PKG_VERSION"),
                }],
            },
            component: element(&bill.subject, subject, bill, &mut shown),
        },
        components: elements,
        dependencies: dependencies(bill),
    };
    document.serial_number = serial(&Digest::of(text(&document)));
    text(&document)
}

fn text(document: &Document) -> String {
    serde_json::to_string_pretty(document).expect("a bill is plain data") + "\n"
}

/// A UUID of version 8, whose bits are those of a digest (RFC 9562, 5.8).
fn serial(digest: &Digest) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let [a, b, c, d, e] = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    format!("urn:uuid:{a}-{b}-{c}-{d}-{e}")
}

fn element(id: &Id, component: &Component, bill: &Bill, shown: &mut BTreeSet<String>) -> Element {
    let tree = component.tree.iter().map(|tree| ("tree", tree.hex()));
    let notes = component.notes.iter().map(|(name, value)| (*name, value.clone()));
    let properties = tree.chain(notes).map(|(name, value)| Property {
        name: format!("vsbuild:{}", name.replace(' ', "-")),
        value,
    });
    let supplier = component.supplier.as_ref().map(|supplier| Organization {
        name: supplier.name.clone(),
        contact: supplier.email.iter().map(|email| Contact { email: email.clone() }).collect(),
    });
    let hash = |digest: &Digest| Hash { alg: "SHA-256", content: digest.hex() };
    let website = component.homepage.iter().filter(|url| is_address(url));
    Element {
        kind: kind(component.kind),
        id: Some(id.to_string()),
        supplier,
        name: component.name.clone(),
        version: component.version.clone(),
        description: component.summary.clone(),
        // What only served to make the subject is documented, but is not in it.
        scope: Some(if component.inside { "required" } else { "excluded" }),
        hashes: component.sha256.iter().map(hash).collect(),
        licenses: component
            .licence
            .iter()
            .map(|it| Licence { acknowledgement: "declared", expression: it.clone() })
            .collect(),
        purl: component.purl.clone(),
        pedigree: component.origin.as_ref().map(pedigree),
        external_references: website
            .map(|url| ExternalReference { kind: "website", url: url.clone() })
            .collect(),
        properties: properties.collect(),
        evidence: evidence(component, bill, shown),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Image | Kind::Kernel => "operating-system",
        Kind::Built => "application",
        Kind::Package => "library",
        Kind::Set | Kind::System => "platform",
        Kind::Container => "container",
        Kind::Source => "data",
        Kind::File => "file",
    }
}

/// The source package that a package was built from.
fn pedigree(origin: &Origin) -> Pedigree {
    let source = Element {
        kind: "library",
        name: origin.name.clone(),
        version: Some(origin.version.clone()),
        purl: Some(origin.purl.clone()),
        ..Element::default()
    };
    Pedigree { ancestors: [Box::new(source)] }
}

fn evidence(component: &Component, bill: &Bill, shown: &mut BTreeSet<String>) -> Option<Evidence> {
    let expression = component.licence.as_deref().unwrap_or_default();
    let mut licenses = Vec::new();
    for reference in expression.split([' ', '(', ')']) {
        let Some(extracted) = bill.texts.get(reference) else { continue };
        if shown.insert(reference.to_owned()) {
            let text = Attachment { content_type: "text/plain", content: extracted.text.clone() };
            licenses.push(Seen { license: Text { name: reference.to_owned(), text } });
        }
    }
    (!licenses.is_empty()).then_some(Evidence { licenses })
}

/// What each element rests on. All relations mean that: contained, needed, made from or made with.
fn dependencies(bill: &Bill) -> Vec<Dependency> {
    let ids = bill.components.keys().chain(bill.files.keys());
    let mut all: BTreeMap<String, BTreeSet<String>> =
        ids.map(|id| (id.to_string(), BTreeSet::new())).collect();
    for relation in &bill.relations {
        let on = all.entry(relation.from.to_string()).or_default();
        on.insert(relation.to.to_string());
    }
    all.into_iter().map(|(id, depends_on)| Dependency { id, depends_on }).collect()
}
