use tar::{EntryType, Header};

use super::{Body, Member};
use crate::tree::{Device, Time};

const BLOCK: usize = 512;
/// What the fields of a plain header have room for.
const TEXT_MAX: usize = 100;
const OWNER_MAX: u32 = 0o7_777_777;
const NUMBER_MAX: u64 = 0o77_777_777_777;
/// The end of an archive: two blocks of zeros.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The headers of a member, whose content follows them, padded by [`padding`].
///
/// The format is that of POSIX.1-2017: ustar, and pax headers only for what does not fit there: long names, large
/// numbers, parts of seconds, and extended attributes in star's spelling. The top of the tree is `./`. Owners are
/// numbers without names. One member has one spelling; a change of it changes the digests of all layers we make.
pub fn headers(member: &Member) -> Vec<u8> {
    let Member { path, meta, body } = member;
    let name = match body {
        Body::Directory if path.is_root() => b"./".to_vec(),
        Body::Directory => [path.as_bytes(), b"/"].concat(),
        _ => path.as_bytes().to_vec(),
    };
    let (kind, link, size): (_, &[u8], _) = match body {
        Body::Directory => (EntryType::Directory, b"", 0),
        Body::File { size } => (EntryType::Regular, b"", *size),
        Body::Symlink(target) => (EntryType::Symlink, target, 0),
        Body::HardLink(target) => (EntryType::Link, target.as_bytes(), 0),
        Body::CharDevice(_) => (EntryType::Char, b"", 0),
        Body::BlockDevice(_) => (EntryType::Block, b"", 0),
        Body::Fifo => (EntryType::Fifo, b"", 0),
    };
    let mut records = Vec::new();
    let seconds = u64::try_from(meta.mtime.seconds).ok().filter(|seconds| *seconds <= NUMBER_MAX);
    if seconds.is_none() || meta.mtime.nanos != 0 {
        record(&mut records, b"mtime", &time(meta.mtime));
    }
    let mut header = Header::new_ustar();
    let fields = header.as_old_mut();
    text(&mut fields.name, &mut records, b"path", &name);
    text(&mut fields.linkname, &mut records, b"linkpath", link);
    header.set_entry_type(kind);
    header.set_mode(meta.mode.into());
    let mut owner = |key: &[u8], id: u32| match id {
        0..=OWNER_MAX => id.into(),
        _ => {
            record(&mut records, key, id.to_string().as_bytes());
            0
        }
    };
    header.set_uid(owner(b"uid", meta.uid));
    header.set_gid(owner(b"gid", meta.gid));
    if size > NUMBER_MAX {
        record(&mut records, b"size", size.to_string().as_bytes());
    }
    header.set_size(if size > NUMBER_MAX { 0 } else { size });
    header.set_mtime(seconds.unwrap_or(0));
    if let Body::CharDevice(device) | Body::BlockDevice(device) = body
        && let Some(ustar) = header.as_ustar_mut()
    {
        let Device { major, minor } = *device;
        ustar.set_device_major(major);
        ustar.set_device_minor(minor);
    }
    header.set_cksum();
    for (name, value) in &meta.xattrs {
        record(&mut records, &[b"SCHILY.xattr.", &**name].concat(), value);
    }
    let mut bytes = if records.is_empty() { Vec::new() } else { extension(&records) };
    bytes.extend_from_slice(header.as_bytes());
    bytes
}

/// How many zeros follow a content of `size` bytes.
pub fn padding(size: u64) -> usize {
    let within = size % BLOCK as u64;
    if within == 0 { 0 } else { BLOCK - within as usize }
}

/// Puts `value` in a field, and what does not fit in a record of the extended header.
fn text(field: &mut [u8; TEXT_MAX], records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let plain = value.len().min(TEXT_MAX);
    field[..plain].copy_from_slice(&value[..plain]);
    if plain < value.len() {
        record(records, key, value);
    }
}

/// `LENGTH KEY=VALUE\n`, where the length counts all of it, itself included.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend([key, b"=", value, b"\n"].concat());
}

fn extension(records: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..9].copy_from_slice(b"PaxHeader");
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), records].concat();
    bytes.resize(bytes.len() + padding(records.len() as u64), 0);
    bytes
}

/// Seconds with a fraction as short as it can be: `-1.5`.
fn time(time: Time) -> Vec<u8> {
    let (sign, seconds, nanos) = match (time.seconds, time.nanos) {
        (0.., nanos) => ("", time.seconds.unsigned_abs(), nanos),
        (_, 0) => ("-", time.seconds.unsigned_abs(), 0),
        (_, nanos) => ("-", time.seconds.unsigned_abs() - 1, 1_000_000_000 - nanos),
    };
    let text = format!("{sign}{seconds}.{nanos:09}");
    text.trim_end_matches('0').trim_end_matches('.').as_bytes().to_vec()
}
