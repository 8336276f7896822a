use super::{Cache, Error, Item};
use crate::{digest::Digest, tree::Tree};

/// The first line.
const HEAD: &str = "vsbuild-image 1";
/// The longest text, in bytes.
const LONGEST: u64 = 256;

/// Where the bytes of a disk are, if somebody sent them: in a tree with this one file.
///
/// ```text
/// vsbuild-image 1
/// TREE
/// ```
///
/// So a disk travels as every long file does: in packs, without its zeros. It lies under the sha256 of the disk, by which
/// statements name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// The tree.
    pub tree: Digest,
}

/// The text does not say where a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has to be `{HEAD}` and the digest of a tree, a line each")]
pub struct BadImage;

impl Image {
    /// The text.
    pub fn encode(&self) -> String {
        format!("{HEAD}\n{}\n", self.tree)
    }

    /// Reads the text, in the one spelling that it has.
    pub fn decode(text: &[u8]) -> Result<Self, BadImage> {
        let text = std::str::from_utf8(text).map_err(|_| BadImage)?;
        let tree = text.lines().nth(1).and_then(|line| line.parse().ok()).ok_or(BadImage)?;
        let image = Self { tree };
        if image.encode() == text { Ok(image) } else { Err(BadImage) }
    }

    /// Whether a tree is what an image leads to: one file that is this disk.
    pub fn leads_to(tree: &Tree, disk: &Digest) -> bool {
        let mut contents = tree.contents();
        tree.len() == 2 && contents.next().is_some_and(|content| content.digest == *disk)
    }
}

impl Cache {
    /// The tree that has a disk as its one file, if somebody sent it.
    pub fn image(&self, disk: &Digest) -> Result<Option<Tree>, Error> {
        let item = Item::Image(*disk);
        let Some(image) = self.noted_image(disk)? else { return Ok(None) };
        match self.tree(&image.tree)? {
            Some(tree) if Image::leads_to(&tree, disk) => Ok(Some(tree)),
            Some(_) => Err(self.wrong(&item, "it leads to a tree that is something else")),
            None => Err(self.wrong(&item, format!("it leads to no tree {}", image.tree))),
        }
    }

    /// What the cache says of a disk.
    pub(super) fn noted_image(&self, disk: &Digest) -> Result<Option<Image>, Error> {
        let item = Item::Image(*disk);
        let Some(text) = self.remote.get(&item.name(), LONGEST)? else { return Ok(None) };
        Image::decode(&text).map(Some).map_err(|error| self.wrong(&item, error))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image_reads_as_it_was_written_and_in_no_other_spelling() {
        let image = Image { tree: Digest::of("x") };
        let text = image.encode();
        assert_eq!(Image::decode(text.as_bytes()), Ok(image));
        for wrong in ["", text.trim_end(), &format!("{text}\n"), &text.replace("image", "way")] {
            assert_eq!(Image::decode(wrong.as_bytes()), Err(BadImage), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_any_bytes_ends_well(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Image::decode(&bytes), Err(BadImage));
        }
    }
}
