//! A place to write images in, and the programs that judge them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    io::Read,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::fs::{lgetxattr, llistxattr, makedev};
use tempfile::TempDir;
use vsbuild::{
    digest::{Digest, Hasher},
    formats::{
        disk::{Disk, Table, place},
        ext4::{FORMAT, Shape, Size, layout},
        image::Placed,
    },
    path::GuestPath,
    realise::lay,
    store::Store,
    tree::{Device, Inode, Kind, Node, Time, Tree},
};

/// A directory with a store.
pub struct Workbench {
    dir: TempDir,
    pub store: Store,
}

pub fn shape(size: Size) -> Shape {
    let epoch = Time::from_seconds(1_735_689_600);
    Shape { version: FORMAT, size, spare_inodes: 1000, label: "test".into(), journal: None, epoch }
}

impl Workbench {
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("vsbuild-ext4-").unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes an image, after a look at its pieces.
    pub fn image(&self, name: &str, tree: &Tree, shape: &Shape) -> PathBuf {
        let layout = layout(tree, shape).unwrap();
        let disk = place(&layout, Table::None).unwrap();
        self.write(name, &disk).0
    }

    pub fn write(&self, name: &str, disk: &Disk<'_>) -> (PathBuf, Digest) {
        let image = self.path(name);
        check_pieces(disk.size(), disk.pieces());
        let file = fs_err::File::create_new(&image).unwrap();
        let digest = lay(disk.size(), disk.pieces(), &self.store, &file, 2).unwrap();
        assert_eq!(fs::metadata(&image).unwrap().len(), disk.size());
        (image, digest)
    }

    /// Writes an image of this tree and has it judged by e2fsck and the kernel.
    pub fn judge(&self, tree: &Tree, shape: &Shape) {
        let image = self.image("image", tree, shape);
        is_clean(&image);
        if let Some(mounted) = Mounted::at(&image, &self.path("mount"), "ro") {
            same(&mounted.dir, tree);
        }
        fs::remove_file(image).unwrap();
    }
}

/// Pieces ascend, do not overlap, and are inside the image.
pub fn check_pieces(size: u64, pieces: impl Iterator<Item = Placed>) {
    let mut end = 0;
    for Placed { at, piece } in pieces {
        assert!(at >= end, "a piece at {at} begins before {end}");
        assert!(piece.length() > 0, "the piece at {at} is empty");
        end = at + piece.length();
    }
    assert!(end <= size, "the last piece ends at {end}, behind {size}");
}

pub fn sha256(path: &Path) -> Digest {
    let (mut hasher, mut file) = (Hasher::default(), fs::File::open(path).unwrap());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hasher.finish(),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Runs a program and gives what it printed.
#[track_caller]
pub fn run(program: &str, arguments: &[&OsStr]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{text}", output.status);
    text
}

/// e2fsck finds nothing, and has nothing to say but the names of its passes and the count of files.
#[track_caller]
pub fn is_clean(image: &Path) {
    let said = run("e2fsck", &["-fn".as_ref(), image.as_ref()]);
    let surplus: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("e2fsck ") && !line.starts_with("Pass "))
        .filter(|line| !line.contains(" files (") && !line.is_empty())
        .collect();
    assert!(surplus.is_empty(), "{said}");
}

/// Two loop devices at a time are more than some machines have.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A mounted image; unmounted when it is dropped.
pub struct Mounted {
    pub dir: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Mounted {
    /// Mounts it, or says aloud why not.
    pub fn at(image: &Path, dir: &Path, options: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !Path::new("/dev/loop-control").exists() {
            eprintln!("SKIPPED: mounting an image takes root and loop devices");
            return None;
        }
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        fs::create_dir_all(dir).unwrap();
        let options = format!("loop,{options}");
        run("mount", &["-o".as_ref(), options.as_ref(), image.as_ref(), dir.as_ref()]);
        Some(Self { dir: dir.to_owned(), _turn: turn })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(&self.dir).status();
        assert!(done.is_ok_and(|status| status.success()), "cannot unmount");
    }
}

/// What the kernel sees below `dir` is `tree` and lost+found.
#[track_caller]
pub fn same(dir: &Path, tree: &Tree) {
    let mut listed = BTreeSet::new();
    list(dir, &GuestPath::root(), &mut listed);
    assert!(listed.remove(&GuestPath::new("lost+found").unwrap()), "there is no lost+found");
    let expected: BTreeSet<GuestPath> = tree.iter().map(|(path, _)| path.clone()).collect();
    assert!(listed == expected, "{:?}", listed.symmetric_difference(&expected).next());
    let links = links(tree);
    let mut numbers: BTreeMap<u64, GuestPath> = BTreeMap::new();
    for (path, node) in tree.iter() {
        let place = dir.join(OsStr::from_bytes(path.as_bytes()));
        let owner = match node {
            Node::Inode(_) => path,
            Node::HardLink(owner) => owner,
        };
        let meta = fs::symlink_metadata(&place).unwrap();
        assert_eq!(meta.nlink(), links[owner], "links of {path}");
        let known = numbers.entry(meta.ino()).or_insert_with(|| owner.clone());
        assert_eq!(known, owner, "{path} has the inode of another file");
        same_inode(&place, &meta, tree.inode(path).unwrap());
    }
}

fn list(dir: &Path, at: &GuestPath, listed: &mut BTreeSet<GuestPath>) {
    listed.insert(at.clone());
    for entry in fs::read_dir(dir.join(OsStr::from_bytes(at.as_bytes()))).unwrap() {
        let entry = entry.unwrap();
        let path = at.join(entry.file_name().into_vec()).unwrap();
        if entry.file_type().unwrap().is_dir() {
            list(dir, &path, listed);
        } else {
            assert!(listed.insert(path), "{entry:?} is listed twice");
        }
    }
}

/// How many names every inode should have.
fn links(tree: &Tree) -> BTreeMap<GuestPath, u64> {
    let mut links: BTreeMap<GuestPath, u64> = BTreeMap::new();
    for (path, node) in tree.iter() {
        match node {
            Node::HardLink(owner) => *links.get_mut(owner).unwrap() += 1,
            Node::Inode(Inode { kind: Kind::Directory, .. }) => {
                // Its name, its `.`, and lost+found's `..` for the root.
                links.insert(path.clone(), if path.is_root() { 3 } else { 2 });
                if let Some(parent) = path.parent() {
                    *links.get_mut(&parent).unwrap() += 1;
                }
            }
            Node::Inode(_) => drop(links.insert(path.clone(), 1)),
        }
    }
    for (path, count) in &mut links {
        if *count > 65_000 && matches!(tree.inode(path).unwrap().kind, Kind::Directory) {
            *count = 1;
        }
    }
    links
}

fn same_inode(place: &Path, meta: &fs::Metadata, inode: &Inode) {
    let (kind, expected) = (meta.file_type(), &inode.meta);
    let name = place.display();
    assert_eq!(meta.mode() & 0o7777, u32::from(expected.mode), "mode of {name}");
    assert_eq!((meta.uid(), meta.gid()), (expected.uid, expected.gid), "owner of {name}");
    let time = Time { seconds: meta.mtime(), nanos: meta.mtime_nsec() as u32 };
    assert_eq!(time, expected.mtime, "time of {name}");
    let xattrs: BTreeMap<Box<[u8]>, Box<[u8]>> = xattrs(place);
    assert_eq!(xattrs, expected.xattrs, "attributes of {name}");
    let device =
        |device: &Device| assert_eq!(meta.rdev(), makedev(device.major, device.minor), "{name}");
    match &inode.kind {
        Kind::Directory => assert!(kind.is_dir(), "{name}"),
        Kind::File(content) => {
            assert!(kind.is_file(), "{name}");
            assert_eq!(meta.len(), content.size, "size of {name}");
            assert_eq!(sha256(place), content.digest, "content of {name}");
            let data: u64 = content.data().map(|(_, length)| length.div_ceil(4096) * 8).sum();
            // Attributes and extents may take blocks too.
            assert!((data..data + 8 * 64).contains(&meta.blocks()), "blocks of {name}");
        }
        Kind::Symlink(target) => {
            let found = fs::read_link(place).unwrap();
            assert_eq!(found.as_os_str().as_bytes(), &**target, "target of {name}");
        }
        Kind::CharDevice(number) => {
            assert!(kind.is_char_device(), "{name}");
            device(number);
        }
        Kind::BlockDevice(number) => {
            assert!(kind.is_block_device(), "{name}");
            device(number);
        }
        Kind::Fifo => assert!(kind.is_fifo(), "{name}"),
        Kind::Socket => assert!(kind.is_socket(), "{name}"),
    }
}

pub fn xattrs(place: &Path) -> BTreeMap<Box<[u8]>, Box<[u8]>> {
    let mut buffer = vec![0_u8; 64 << 10];
    let length = llistxattr(place, &mut buffer[..]).unwrap();
    let names: Vec<Vec<u8>> = buffer[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let value = |name: Vec<u8>| {
        let mut buffer = vec![0_u8; 64 << 10];
        let length = lgetxattr(place, name.as_slice(), &mut buffer[..]).unwrap();
        (name.into(), buffer[..length].into())
    };
    names.into_iter().map(value).collect()
}
