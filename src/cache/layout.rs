use crate::{
    digest::Digest,
    remote::{BadName, Name},
    trust::KeyId,
};

/// What the file `format` of a cache says.
pub const FORMAT: &str = "vsbuild-cache 1\n";

/// One thing in a cache, `vsbuild-cache 1`. The layout is the same wherever the cache is:
///
/// ```text
/// format                          "vsbuild-cache 1\n"
/// packs/ab/HEX                    zstd of segments of blobs, one after another, at most 16 MiB of them; named by the sha256 of
///                                 the compressed bytes
/// indexes/ab/HEX                  which segments pack HEX has: see Index
/// trees/ab/HEX                    zstd of the manifest of tree HEX
/// ways/ab/HEX                     the packs that have all blobs of tree HEX: see Way
/// images/ab/HEX                   in which tree disk HEX is, if somebody sent it: see Image
/// inputs/ab/HEX                   a fetched file as it is, named by its sha256
/// statements/ab/PLANKEY/KEYID     what one builder says of one step: a signed statement, see trust
/// pins/NAME                       what is kept whatever happens: see Pin
/// pushing/ID                      somebody pushes, or collects garbage: JSON with what and when
/// ```
///
/// `ab` are the first two digits of what follows. A push writes packs, then indexes, ways, trees, images, inputs and
/// statements, so that a kill at any moment leaves nothing that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// The version of the layout.
    Format,
    /// Segments of blobs.
    Pack(Digest),
    /// What a pack has.
    Index(Digest),
    /// A manifest.
    Tree(Digest),
    /// Where the blobs of a tree are.
    Way(Digest),
    /// Where a disk is.
    Image(Digest),
    /// A fetched file.
    Input(Digest),
    /// What a builder says.
    Statement {
        /// Of which step: its plan key.
        plan_key: Digest,
        /// Whose key signed it.
        by: KeyId,
    },
    /// Something that is kept. The name is the whole one, with `pins/`.
    Pin(Name),
    /// Somebody at work. The name is the whole one, with `pushing/`.
    Pushing(Name),
}

/// The directories of a cache.
pub(super) mod rooms {
    pub(in crate::cache) const PACKS: &str = "packs";
    pub(in crate::cache) const INDEXES: &str = "indexes";
    pub(in crate::cache) const TREES: &str = "trees";
    pub(in crate::cache) const WAYS: &str = "ways";
    pub(in crate::cache) const IMAGES: &str = "images";
    pub(in crate::cache) const INPUTS: &str = "inputs";
    pub(in crate::cache) const STATEMENTS: &str = "statements";
    pub(in crate::cache) const PINS: &str = "pins";
    pub(in crate::cache) const PUSHING: &str = "pushing";
}

/// The name of a directory of a cache.
pub(super) fn room(room: &str) -> Name {
    room.parse().expect("rooms have names")
}

/// The name below which is what builders say of a step.
pub(super) fn said_of(plan_key: &Digest) -> Name {
    sharded(rooms::STATEMENTS, plan_key).parse().expect("digests make names")
}

fn sharded(room: &str, digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{room}/{}/{hex}", &hex[..2])
}

impl Item {
    /// The pin with this name: lower-case letters, digits, `.`, `-` and `_`.
    pub fn pin(name: &str) -> Result<Self, BadName> {
        flat(rooms::PINS, name).map(Self::Pin)
    }

    /// The mark of somebody at work.
    pub(super) fn pushing(id: &str) -> Result<Self, BadName> {
        flat(rooms::PUSHING, id).map(Self::Pushing)
    }

    /// What it is called.
    pub fn name(&self) -> Name {
        let text = match self {
            Self::Format => "format".to_owned(),
            Self::Pack(digest) => sharded(rooms::PACKS, digest),
            Self::Index(digest) => sharded(rooms::INDEXES, digest),
            Self::Tree(digest) => sharded(rooms::TREES, digest),
            Self::Way(digest) => sharded(rooms::WAYS, digest),
            Self::Image(digest) => sharded(rooms::IMAGES, digest),
            Self::Input(digest) => sharded(rooms::INPUTS, digest),
            Self::Statement { plan_key, by } => {
                format!("{}/{by}", said_of(plan_key))
            }
            Self::Pin(name) | Self::Pushing(name) => return name.clone(),
        };
        text.parse().expect("digests and ids of keys make names")
    }

    /// What has this name; none if nothing of a cache has.
    pub fn of(name: &Name) -> Option<Self> {
        let parts: Vec<&str> = name.parts().collect();
        let digest = |hex: &str| hex.parse::<Digest>().ok();
        let item = match parts.as_slice() {
            ["format"] => Self::Format,
            [rooms::PINS, _] => Self::Pin(name.clone()),
            [rooms::PUSHING, _] => Self::Pushing(name.clone()),
            [rooms::PACKS, _, hex] => Self::Pack(digest(hex)?),
            [rooms::INDEXES, _, hex] => Self::Index(digest(hex)?),
            [rooms::TREES, _, hex] => Self::Tree(digest(hex)?),
            [rooms::WAYS, _, hex] => Self::Way(digest(hex)?),
            [rooms::IMAGES, _, hex] => Self::Image(digest(hex)?),
            [rooms::INPUTS, _, hex] => Self::Input(digest(hex)?),
            [rooms::STATEMENTS, _, hex, by] => {
                Self::Statement { plan_key: digest(hex)?, by: by.parse().ok()? }
            }
            _ => return None,
        };
        (item.name() == *name).then_some(item)
    }
}

/// A name right below a room.
fn flat(room: &str, name: &str) -> Result<Name, BadName> {
    // What is no name by itself would be one of another depth, or none at all.
    let one: Name = name.replace('/', "//").parse()?;
    format!("{room}/{one}").parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_found_by_its_name() {
        let digest = Digest::of("x");
        let by = "0123456789abcdef".parse().unwrap();
        for item in [
            Item::Format,
            Item::Pack(digest),
            Item::Index(digest),
            Item::Tree(digest),
            Item::Way(digest),
            Item::Image(digest),
            Item::Input(digest),
            Item::Statement { plan_key: digest, by },
            Item::pin("paper-x").unwrap(),
            Item::pushing("1-2").unwrap(),
        ] {
            assert_eq!(Item::of(&item.name()), Some(item));
        }
    }

    #[test]
    fn what_is_no_item_has_no_place() {
        let hex = Digest::of("x").hex();
        for text in [
            "formats".to_owned(),
            format!("packs/{hex}"),
            format!("packs/zz/{hex}"),
            format!("other/{}/{hex}", &hex[..2]),
            format!("statements/{}/{hex}/me", &hex[..2]),
            "pins/a/b".to_owned(),
        ] {
            assert_eq!(Item::of(&text.parse().unwrap()), None, "{text}");
        }
        for name in ["", "a/b", "../a", "A", "a b", ".a"] {
            assert!(Item::pin(name).is_err(), "{name}");
        }
    }
}
