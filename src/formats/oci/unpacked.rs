use super::layer::Layer;
use crate::{
    path::{BadPath, GuestPath},
    tree::{Content, Draft, Fault, Inode, Kind, Meta, Node, Time, Tree},
};

/// The permissions of the files and directories that hold an image together.
const FILE: u16 = 0o644;
const DIRECTORY: u16 = 0o755;

/// An image whose layers are unpacked, as it lies in the store.
///
/// As a tree it has a file `config`, and for every layer, counted in three digits from the lowest, a file
/// `layers/000.tar` and a directory `layers/000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The configuration, its bytes as they came; its digest is the image's id.
    pub config: Content,
    /// The layers, the lowest first.
    pub layers: Vec<Layer>,
}

/// Why a tree is no unpacked image, or none can be made.
#[derive(Debug, thiserror::Error)]
pub enum UnpackedError {
    /// A file or directory is missing.
    #[error("it has no {0}")]
    Missing(GuestPath),
    /// A path becomes too long.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// The parts do not make a tree.
    #[error(transparent)]
    Tree(#[from] Fault),
}

impl Unpacked {
    /// The image as one tree. What holds it together has no time, so that it is the same however the image came.
    pub fn to_tree(&self) -> Result<Tree, UnpackedError> {
        let epoch = Time::default();
        let directory = Meta::root_owned(DIRECTORY, epoch);
        let file = |content: &Content| {
            let meta = Meta::root_owned(FILE, epoch);
            Node::Inode(Inode { meta, kind: Kind::File(content.clone()) })
        };
        let mut draft = Draft::with_root(directory.clone());
        draft.insert(config_path()?, file(&self.config));
        draft.insert(layers_path()?, Node::Inode(Inode { meta: directory, kind: Kind::Directory }));
        for (index, layer) in self.layers.iter().enumerate() {
            let (tar, root) = layer_paths(index)?;
            draft.insert(tar, file(&layer.tar));
            draft.graft(&root, layer.tree.iter())?;
        }
        Ok(draft.finish()?)
    }

    /// The image in a tree that [`Unpacked::to_tree`] made.
    pub fn from_tree(tree: &Tree) -> Result<Self, UnpackedError> {
        let content =
            |path: GuestPath| tree.content(&path).cloned().ok_or(UnpackedError::Missing(path));
        let config = content(config_path()?)?;
        let mut layers = Vec::new();
        loop {
            let (tar, root) = layer_paths(layers.len())?;
            if tree.get(&tar).is_none() {
                break;
            }
            layers.push(Layer { tar: content(tar)?, tree: tree.part(&root).finish()? });
        }
        Ok(Self { config, layers })
    }
}

fn config_path() -> Result<GuestPath, BadPath> {
    GuestPath::new("config")
}

fn layers_path() -> Result<GuestPath, BadPath> {
    GuestPath::new("layers")
}

/// Where a layer's tar file is, and the root of its tree.
fn layer_paths(index: usize) -> Result<(GuestPath, GuestPath), BadPath> {
    Ok((
        GuestPath::new(format!("layers/{index:03}.tar"))?,
        GuestPath::new(format!("layers/{index:03}"))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> Content {
        Content::of(text.as_bytes())
    }

    #[test]
    fn an_image_survives_being_a_tree() {
        let meta = Meta::root_owned(0o755, Time::from_seconds(5));
        let mut draft = Draft::with_root(meta.clone());
        let node = |kind| Node::Inode(Inode { meta: meta.clone(), kind });
        let path = |text: &str| GuestPath::new(text).expect(text);
        draft.insert(path("a"), node(Kind::File(content("x"))));
        draft.insert(path("b"), Node::HardLink(path("a")));
        let tree = draft.finish().expect("a tree");
        let layer = |tar: &str| Layer { tar: content(tar), tree: tree.clone() };
        let image = Unpacked { config: content("{}"), layers: vec![layer("one"), layer("two")] };
        let stored = image.to_tree().expect("a tree");
        assert_eq!(Unpacked::from_tree(&stored).expect("an image"), image);
        let nothing = Draft::with_root(meta).finish().expect("a tree");
        assert!(matches!(Unpacked::from_tree(&nothing), Err(UnpackedError::Missing(_))));
    }
}
