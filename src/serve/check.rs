//! What may be kept under which name.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
};

use super::access::{Caller, Refusal, Right};
use crate::{
    cache::{Cache, FORMAT, Image, Index, Item, PACK_SIZE, PACKED_MOST, Way},
    digest::{Digest, Hasher},
    remote::{Directory, Remote},
    trust::{self, Keys, Rejected, Statement},
};

/// The largest window of zstd as a power of two: what a check takes of memory.
const WINDOW_LOG: u32 = 25;
/// The longest manifest of a tree in bytes, compressed and not.
const TREE_PACKED: u64 = 256 << 20;
const TREE_UNPACKED: u64 = 2 << 30;
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

/// Sees that bytes are what their name says, and that who brings them may. `digest` is that of the file as it is.
pub(super) fn check(
    item: &Item,
    digest: &Digest,
    file: &mut File,
    caller: &Caller,
    files: &Directory,
    keys: &Keys,
) -> Result<(), Refusal> {
    file.rewind()?;
    match item {
        Item::Format => {
            let text = read(file)?;
            if text == FORMAT.as_bytes() { Ok(()) } else { wrong("this cache has another format") }
        }
        Item::Pack(name) => {
            same(name, digest)?;
            unpack(file, PACK_SIZE, &mut io::sink()).map(drop)
        }
        Item::Input(name) => same(name, digest),
        Item::Tree(name) => {
            let mut hasher = Hasher::default();
            unpack(file, TREE_UNPACKED, &mut hasher)?;
            same(name, &hasher.finish())
        }
        Item::Index(pack) => index(pack, file, files),
        Item::Way(_) => way(file, files),
        Item::Image(disk) => image(disk, file, files),
        Item::Statement { .. } => statement(item, file, caller, files, keys),
        Item::Pin(_) => {
            let text = read(file)?;
            object(&text)?;
            let kept = files.get(&item.name(), PIN).map_err(fault)?;
            if kept.is_some_and(|kept| kept != text) && caller.must(Right::Admin).is_err() {
                return Err(Refusal::Conflict(
                    "another pin has this name; only an administrator may replace it".to_owned(),
                ));
            }
            Ok(())
        }
        Item::Pushing(_) => object(&read(file)?),
    }
}

fn index(pack: &Digest, file: &mut File, files: &Directory) -> Result<(), Refusal> {
    let mut text = Vec::new();
    unpack(file, HINT_UNPACKED, &mut text)?;
    let index = Index::decode(&text).map_err(|error| Refusal::Wrong(error.to_string()))?;
    let place = files.place(&Item::Pack(*pack).name());
    let Some(mut packed) = there(File::open(place))? else {
        return Err(Refusal::Conflict("its pack is not here; send that first".to_owned()));
    };
    let length = unpack(&mut packed, PACK_SIZE, &mut io::sink())?;
    if length == index.length() {
        return Ok(());
    }
    wrong(&format!("it tells of {} bytes, and its pack has {length}", index.length()))
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
    let tree = Cache::new(Box::new(files.clone())).tree(&image.tree);
    match tree.map_err(|error| Refusal::Fault(io::Error::other(error)))? {
        Some(tree) if Image::leads_to(&tree, disk) => Ok(()),
        Some(_) => wrong(&format!("tree {} is not the disk {disk} alone", image.tree)),
        None => {
            let why = format!("tree {} is not here; send that first", image.tree);
            Err(Refusal::Conflict(why))
        }
    }
}

/// A statement of a key that may write. A key does not change its mind: what it said first stays until an administrator
/// removes it, so that an old statement cannot take the place of a newer one, nor the other way.
fn statement(
    item: &Item,
    file: &mut File,
    caller: &Caller,
    files: &Directory,
    keys: &Keys,
) -> Result<(), Refusal> {
    let Item::Statement { plan_key, by } = item else { return Ok(()) };
    let opened = trust::open(&read(file)?, keys).and_then(|opened| opened.about(plan_key));
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
    let kept = files.get(&item.name(), STATEMENT).map_err(fault)?;
    // What is here and cannot be read any more may be replaced.
    let kept = kept.and_then(|kept| trust::open(&kept, keys).ok());
    let changed = kept.is_some_and(|kept| contradict(&kept.statement, &opened.statement));
    if changed && caller.must(Right::Admin).is_err() {
        return Err(Refusal::Conflict(format!("{by} says something else of this step already")));
    }
    Ok(())
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

fn object(text: &[u8]) -> Result<(), Refusal> {
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(()),
        Err(error) => wrong(&format!("expected a JSON object: {error}")),
    }
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
fn unpack(file: &mut File, most: u64, to: &mut impl io::Write) -> Result<u64, Refusal> {
    let unpacked = (|| {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::new(file))?;
        decoder.window_log_max(WINDOW_LOG)?;
        io::copy(&mut decoder.take(most + 1), to)
    })();
    match unpacked {
        Ok(length) if length <= most => Ok(length),
        Ok(_) => wrong(&format!("it is longer than {most} bytes, unpacked")),
        Err(error) => wrong(&format!("it cannot be unpacked: {error}")),
    }
}
