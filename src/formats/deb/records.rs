use super::{
    control::Paragraph,
    package::{Conffile, ControlFiles, Error, newest},
};
use crate::{
    path::GuestPath,
    tree::{BlobSink, Draft, Inode, Kind, Meta, Node},
};

/// Scripts that only dpkg would run, and it runs nowhere here; `config` is debconf's. An image is smaller without them.
const SCRIPTS: [&str; 5] = ["config", "postinst", "postrm", "preinst", "prerm"];

/// The fields of a status paragraph in dpkg's order (its lib/dpkg/parse.c); all others follow as they come.
const FIELDS: [&str; 29] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Config-Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Description",
    "Triggers-Pending",
    "Triggers-Awaited",
    "Config-Status",
];
/// Fields that say where dpkg stands with a package; a package that brings them itself is not heard.
const STATE: [&str; 6] = [
    "Status",
    "Conffiles",
    "Config-Version",
    "Triggers-Pending",
    "Triggers-Awaited",
    "Config-Status",
];

/// Adds dpkg's records of a package to its files; `stem` is what their names begin with.
pub(super) fn add(
    files: Draft,
    stem: &str,
    paragraph: &Paragraph<'_>,
    control: &ControlFiles,
    conffiles: &[Conffile],
    sink: &dyn BlobSink,
) -> Result<Draft, Error> {
    let times = control.files.values().map(|(meta, _)| meta.mtime);
    let mtime = times.chain([newest(&files)]).max().unwrap_or_default();
    let meta = Meta::root_owned(0o644, mtime);
    let list = list(&files);
    let mut records = Records { draft: files, sink, directory: Meta::root_owned(0o755, mtime) };
    records.add("var/lib/dpkg/info/format", &meta, b"1\n")?;
    records.add(&format!("var/lib/dpkg/info/{stem}.list"), &meta, &list)?;
    for (name, (meta, text)) in &control.files {
        if name != "control" && !SCRIPTS.contains(&name.as_str()) {
            let meta = Meta::root_owned(meta.mode & 0o777, meta.mtime);
            records.add(&format!("var/lib/dpkg/info/{stem}.{name}"), &meta, text)?;
        }
    }
    let stanza = stanza(paragraph, conffiles);
    records.add(&format!("var/lib/dpkg/status.d/{stem}"), &meta, stanza.as_bytes())?;
    Ok(records.draft)
}

struct Records<'a> {
    draft: Draft,
    sink: &'a dyn BlobSink,
    directory: Meta,
}

impl Records<'_> {
    fn add(&mut self, path: &str, meta: &Meta, mut text: &[u8]) -> Result<(), Error> {
        let path = GuestPath::new(path)?;
        if self.draft.get(&path).is_some() {
            return Err(Error::Record(path));
        }
        let content = self.sink.put(&mut text).map_err(Error::Store)?;
        self.draft.ensure_parents(&path, &self.directory);
        let inode = Inode { meta: meta.clone(), kind: Kind::File(content) };
        self.draft.insert(path, Node::Inode(inode));
        Ok(())
    }
}

/// All paths of the package, the root as `/.` first as dpkg has it.
fn list(files: &Draft) -> Vec<u8> {
    let mut list = b"/.\n".to_vec();
    for (path, _) in files.iter().filter(|(path, _)| !path.is_root()) {
        list.push(b'/');
        list.extend_from_slice(path.as_bytes());
        list.push(b'\n');
    }
    list
}

fn stanza(paragraph: &Paragraph<'_>, conffiles: &[Conffile]) -> String {
    let mut text = String::new();
    let mut add = |name: &str, value: &str| {
        let blank = if value.is_empty() || value.starts_with('\n') { "" } else { " " };
        text.extend([name, ":", blank, value, "\n"]);
    };
    let conffiles: String = conffiles
        .iter()
        .filter_map(|conffile| Some((&conffile.path, conffile.md5.as_ref()?)))
        .map(|(path, md5)| {
            format!("\n {} {md5}", String::from_utf8_lossy(&[b"/", path.as_bytes()].concat()))
        })
        .collect();
    for name in FIELDS {
        match name {
            "Status" => add(name, "install ok installed"),
            "Conffiles" if !conffiles.is_empty() => add(name, &conffiles),
            _ if STATE.contains(&name) => (),
            // dpkg does not write out a no.
            "Essential" | "Protected" if paragraph.get(name) == Some("no") => (),
            _ => paragraph.get(name).into_iter().for_each(|value| add(name, value)),
        }
    }
    let known = |name: &str| FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name));
    paragraph.iter().filter(|(name, _)| !known(name)).for_each(|(name, value)| add(name, value));
    text
}
