//! What may be kept under which name.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    sync::MutexGuard,
};

use super::{
    access::{Caller, Refusal, Right},
    desk::Desk,
};
use crate::{
    cache::{
        self, Cache, FORMAT, Image, Index, Item, PACK_SIZE, PACKED_MOST, Pin, Way, check_mark,
    },
    digest::{Digest, Hasher},
    remote::{self, Directory, Remote},
    trust::{self, KeyId, Rejected, Statement},
};

/// The largest window of zstd as a power of two: what a check takes of memory.
const WINDOW_LOG: u32 = 25;
/// The longest manifest of a tree in bytes, compressed and not.
const TREE_PACKED: u64 = 256 << 20;
const TREE_UNPACKED: u64 = 2 << 30;
/// The longest manifest of a tree that an image leads to, in bytes, compressed and not: it is read as a whole. A disk's has a
/// line, with a word for each range of zeros.
const DISK_TREE: u64 = 16 << 20;
/// The longest index or way in bytes, compressed and not.
const HINT_PACKED: u64 = 8 << 20;
const HINT_UNPACKED: u64 = 32 << 20;
/// The longest word on where a disk is.
const IMAGE: u64 = 256;
/// The longest statement: of a step with some ten thousand packages.
const STATEMENT: u64 = 16 << 20;
/// The longest pin, and the longest mark of a push.
const PIN: u64 = 1 << 20;
const MARK: u64 = 4 << 10;

/// The most bytes that something may have, where the longest input has `input`.
pub(super) fn longest(item: &Item, input: u64) -> u64 {
    match item {
        Item::Format => FORMAT.len() as u64,
        Item::Pack(_) => PACKED_MOST,
        Item::Index(_) | Item::Way(_) => HINT_PACKED,
        Item::Tree(_) => TREE_PACKED,
        Item::Image(_) => IMAGE,
        Item::Input(_) => input,
        Item::Statement { .. } => STATEMENT,
        Item::Pin(_) => PIN,
        Item::Pushing(_) => MARK,
    }
}

/// The digest by which something is named, if its bytes can never be others.
pub(super) fn fixed(item: &Item) -> Option<&Digest> {
    match item {
        Item::Pack(digest) | Item::Tree(digest) | Item::Input(digest) => Some(digest),
        Item::Format
        | Item::Index(_)
        | Item::Way(_)
        | Item::Image(_)
        | Item::Statement { .. }
        | Item::Pin(_)
        | Item::Pushing(_) => None,
    }
}

/// Sees that bytes are what their name says, and that who brings them may. `digest` is that of the file as it is. What is here
/// already is looked at under the gate, which stays closed until the file is in its place.
pub(super) fn check<'d>(
    item: &Item,
    digest: &Digest,
    file: &mut File,
    caller: &Caller,
    desk: &'d Desk,
) -> Result<MutexGuard<'d, ()>, Refusal> {
    file.rewind()?;
    let files = &desk.files;
    match item {
        Item::Format => {
            if read(file)? != FORMAT.as_bytes() {
                return wrong("this cache has another format");
            }
        }
        Item::Pack(name) => {
            same(name, digest)?;
            unpack(file, PACK_SIZE, &mut io::sink())?;
        }
        Item::Input(name) => same(name, digest)?,
        Item::Tree(name) => {
            let mut hasher = Hasher::default();
            unpack(file, TREE_UNPACKED, &mut hasher)?;
            same(name, &hasher.finish())?;
        }
        Item::Index(pack) => return index(pack, file, caller, desk),
        Item::Way(_) => way(file, files)?,
        Item::Image(disk) => image(disk, file, files)?,
        Item::Statement { plan_key, by } => {
            let statement = statement(plan_key, by, file, desk)?;
            let gate = desk.usage.gate();
            let kept = files.get(&item.name(), STATEMENT).map_err(fault)?;
            // What is here and cannot be read any more may be replaced.
            let kept = kept.and_then(|kept| trust::open(&kept, &desk.keys).ok());
            let changed = kept.is_some_and(|kept| contradict(&kept.statement, &statement));
            let why = || format!("{by} says something else of this step already");
            return settle(changed, caller, gate, why);
        }
        Item::Pin(_) => {
            let text = read(file)?;
            if let Err(error) = serde_json::from_slice::<Pin>(&text) {
                return wrong(&format!("it is no pin: {error}"));
            }
            let gate = desk.usage.gate();
            let kept = files.get(&item.name(), PIN).map_err(fault)?;
            let changed = kept.is_some_and(|kept| kept != text);
            return settle(changed, caller, gate, || "another pin has this name".to_owned());
        }
        Item::Pushing(_) => {
            check_mark(&read(file)?).map_err(|error| Refusal::Wrong(error.to_string()))?;
        }
    }
    Ok(desk.usage.gate())
}

/// Lets only an administrator change what others rely on.
fn settle<'d>(
    changed: bool,
    caller: &Caller,
    gate: MutexGuard<'d, ()>,
    why: impl FnOnce() -> String,
) -> Result<MutexGuard<'d, ()>, Refusal> {
    if changed && caller.must(Right::Admin).is_err() {
        let why = format!("{}; only an administrator may replace it", why());
        return Err(Refusal::Conflict(why));
    }
    Ok(gate)
}

/// An index tells of all that its pack has. Where in it each blob is, nobody here can know of blobs in several packs: the first
/// word stays.
fn index<'d>(
    pack: &Digest,
    file: &mut File,
    caller: &Caller,
    desk: &'d Desk,
) -> Result<MutexGuard<'d, ()>, Refusal> {
    let mut text = Vec::new();
    unpack(file, HINT_UNPACKED, &mut text)?;
    let index = Index::decode(&text).map_err(|error| Refusal::Wrong(error.to_string()))?;
    let files = &desk.files;
    let place = files.place(&Item::Pack(*pack).name());
    let Some(mut packed) = there(File::open(place))? else {
        return Err(Refusal::Conflict("its pack is not here; send that first".to_owned()));
    };
    let length = unpack(&mut packed, PACK_SIZE, &mut io::sink())?;
    if length != index.length() {
        let told = index.length();
        return wrong(&format!("it tells of {told} bytes, and its pack has {length}"));
    }
    let gate = desk.usage.gate();
    let kept = files.get(&Item::Index(*pack).name(), HINT_PACKED).map_err(fault)?;
    // What is here and cannot be read may be replaced.
    let kept = kept.and_then(|kept| {
        let mut text = Vec::new();
        unpack(&kept[..], HINT_UNPACKED, &mut text).ok()?;
        Index::decode(&text).ok()
    });
    let changed = kept.is_some_and(|kept| kept != index);
    settle(changed, caller, gate, || format!("pack {pack} has another index already"))
}

fn way(file: &mut File, files: &Directory) -> Result<(), Refusal> {
    let mut text = Vec::new();
    unpack(file, HINT_UNPACKED, &mut text)?;
    let way = Way::decode(&text).map_err(|error| Refusal::Wrong(error.to_string()))?;
    for (pack, size) in &way.packs {
        match there(std::fs::metadata(files.place(&Item::Pack(*pack).name())))? {
            Some(meta) if meta.len() == *size => (),
            Some(meta) => {
                return wrong(&format!("pack {pack} has {} bytes, not {size}", meta.len()));
            }
            None => {
                let why = format!("pack {pack} is not here; send that first");
                return Err(Refusal::Conflict(why));
            }
        }
    }
    Ok(())
}

/// A disk must be where it is said to be, so that who looks for it is not led astray.
fn image(disk: &Digest, file: &mut File, files: &Directory) -> Result<(), Refusal> {
    let image = Image::decode(&read(file)?).map_err(|error| Refusal::Wrong(error.to_string()))?;
    let absent = || Refusal::Conflict(format!("tree {} is not here; send that first", image.tree));
    let packed = there(File::open(files.place(&Item::Tree(image.tree).name())))?;
    let packed = packed.ok_or_else(absent)?;
    if packed.metadata()?.len() > DISK_TREE {
        return wrong(&format!("tree {} is longer than {DISK_TREE} bytes", image.tree));
    }
    unpack(packed, DISK_TREE, &mut io::sink())?;
    match Cache::new(Box::new(files.clone())).tree(&image.tree) {
        Ok(Some(tree)) if Image::leads_to(&tree, disk) => Ok(()),
        Ok(Some(_)) => wrong(&format!("tree {} is not the disk {disk} alone", image.tree)),
        Ok(None) => Err(absent()),
        Err(cache::Error::Remote(remote::Error::Wrong { why, .. })) => {
            wrong(&format!("tree {} cannot be read: {why}", image.tree))
        }
        Err(error) => Err(Refusal::Fault(io::Error::other(error))),
    }
}

/// A statement about a step, of the key of its name, which must be one that may write. Keys do not change their mind: what one
/// said first of a derivation stays, until an administrator replaces it.
fn statement(
    plan_key: &Digest,
    by: &KeyId,
    file: &mut File,
    desk: &Desk,
) -> Result<Statement, Refusal> {
    let opened = trust::open(&read(file)?, &desk.keys).and_then(|opened| opened.about(plan_key));
    let opened = opened.map_err(|rejected| match rejected {
        Rejected::Unknown(_) | Rejected::Revoked(_) => {
            Refusal::Forbidden(format!("its key may not write here: {rejected}"))
        }
        Rejected::NoEnvelope(_)
        | Rejected::BadSignature { .. }
        | Rejected::NotOurs(_)
        | Rejected::OtherStep { .. } => Refusal::Wrong(rejected.to_string()),
    })?;
    if opened.by != *by {
        return wrong(&format!("it is signed by {}, and its name says {by}", opened.by));
    }
    Ok(opened.statement)
}

fn contradict(one: &Statement, other: &Statement) -> bool {
    let differ = |output, key| other.output(key).is_some_and(|other| other != output);
    one.claims.iter().any(|claim| differ(claim.output, &claim.key))
}

fn wrong<T>(why: &str) -> Result<T, Refusal> {
    Err(Refusal::Wrong(why.to_owned()))
}

fn fault(error: crate::remote::Error) -> Refusal {
    Refusal::Fault(io::Error::other(error))
}

fn same(name: &Digest, found: &Digest) -> Result<(), Refusal> {
    if name == found { Ok(()) } else { wrong(&format!("these bytes have the digest {found}")) }
}

/// All of a short file: its length was held to [`longest`] when it came.
fn read(file: &mut File) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is there, if it is.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Decompresses into something that does not fail, and says how many bytes came out.
fn unpack(packed: impl Read, most: u64, to: &mut impl io::Write) -> Result<u64, Refusal> {
    let unpacked = (|| {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::new(packed))?;
        decoder.window_log_max(WINDOW_LOG)?;
        io::copy(&mut decoder.take(most + 1), to)
    })();
    match unpacked {
        Ok(length) if length <= most => Ok(length),
        Ok(_) => wrong(&format!("it is longer than {most} bytes, unpacked")),
        Err(error) => wrong(&format!("it cannot be unpacked: {error}")),
    }
}
