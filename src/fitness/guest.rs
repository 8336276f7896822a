//! Whether the root file system has a process 1 that the kernel can start.

use super::lint::{Error, Finding, Level, Subject, read};
use crate::{
    formats::elf::{self, Elf},
    path::GuestPath,
    tree::{Content, Inode, Kind, Tree},
};

/// Where Linux looks, in this order, if the command line does not say (`kernel_init`).
const INITS: &[&str] = &["sbin/init", "etc/init", "bin/init", "bin/sh"];
/// As many links as Linux follows.
const MOST_LINKS: usize = 40;

/// Whether init is there, can be executed, and has what loads it.
pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>, Error> {
    let told = init_told(subject);
    let bad = |what: String| {
        let help = "the image needs a program at /sbin/init; that of vsbuild is the recipe `guest`";
        Ok(vec![Finding::new(Level::Error, "init", what, help)])
    };
    let Some((path, mode, content)) = init(subject) else {
        return bad(match told {
            Some(told) => format!("the kernel would panic: there is no init={told}"),
            None => "the kernel would panic: there is no /sbin/init".to_owned(),
        });
    };
    if mode & 0o111 == 0 {
        return bad(format!(
            "the kernel would panic: {path} cannot be executed (its mode is {mode:04o})"
        ));
    }
    let bytes = read(subject, &content.digest)?;
    let needs = if let Some(line) = bytes.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        line.split(|byte| [b' ', b'\t'].contains(byte)).next().map(<[u8]>::to_vec)
    } else {
        match Elf::parse(&bytes) {
            Ok(Some(program)) => program.interpreter.map(<[u8]>::to_vec),
            _ if bytes.starts_with(elf::MAGIC) => {
                return bad(format!("the kernel would panic: {path} is no program for x86-64"));
            }
            _ => {
                return bad(format!(
                    "the kernel would panic: {path} is neither a program nor a script"
                ));
            }
        }
    };
    let Some(needs) = needs else { return Ok(Vec::new()) };
    let there = GuestPath::lenient(&needs).ok().and_then(|needs| resolve(subject.rootfs, &needs));
    if there.is_none() {
        let needs = String::from_utf8_lossy(&needs);
        return bad(format!("the kernel would panic: {path} needs {needs}, which is not there"));
    }
    Ok(Vec::new())
}

/// What the kernel would start: where it is, its mode, its content.
pub(super) fn init<'a>(subject: &Subject<'a>) -> Option<(GuestPath, u16, &'a Content)> {
    let candidates = match init_told(subject) {
        Some(told) => vec![told],
        None => INITS.to_vec(),
    };
    candidates.into_iter().find_map(|candidate| {
        let path = resolve(subject.rootfs, &GuestPath::lenient(candidate).ok()?)?;
        match subject.rootfs.inode(&path)? {
            Inode { meta, kind: Kind::File(content) } => Some((path, meta.mode, content)),
            Inode { .. } => None,
        }
    })
}

fn init_told<'a>(subject: &Subject<'a>) -> Option<&'a str> {
    subject
        .cmdline
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("init="))
        .next_back()
}

/// Where a path leads, all links followed, as in the guest.
pub(super) fn resolve(tree: &Tree, path: &GuestPath) -> Option<GuestPath> {
    let mut here = GuestPath::root();
    let mut rest: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                here = here.parent().unwrap_or_else(GuestPath::root);
                continue;
            }
            _ => (),
        }
        let next = here.join(&name).ok()?;
        match &tree.inode(&next)?.kind {
            Kind::Symlink(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return None;
                }
                if target.first() == Some(&b'/') {
                    here = GuestPath::root();
                }
                rest.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
            }
            _ => here = next,
        }
    }
    Some(here)
}
