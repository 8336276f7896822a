//! How long an ext4 image takes, beside `mke2fs -d` on the same files, and how much memory.
//!
//! `cargo bench --bench ext4`, as root for the comparison: mke2fs reads the files from the image that vsbuild wrote, mounted.

#![allow(clippy::unwrap_used, reason = "a measurement that fails says why")]
#![allow(clippy::print_stdout, reason = "it prints what it measured")]
#![allow(unreachable_pub, reason = "the module is another program's too")]

#[path = "../tests/ext4/grow.rs"]
mod grow;

use std::{
    env, fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use grow::Grower;
use tempfile::TempDir;
use vsbuild::{
    digest::Digest,
    formats::ext4::{FORMAT, Shape, Size, layout},
    realise::lay,
    store::Store,
    tree::{Time, Tree},
};
use walkdir::WalkDir;

const MIB: u64 = 1 << 20;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let [_, command, store, tree] = &arguments[..]
        && command == "memory"
    {
        return memory(Path::new(store), tree);
    }
    let dir = TempDir::with_prefix("vsbuild-bench-").unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    println!(
        "{:<24} {:>8} {:>8} {:>9} {:>12} {:>8} {:>7}  target",
        "tree", "entries", "image", "vsbuild", "with import", "mke2fs", "ratio"
    );
    let mut plain = Grower::new(&store);
    usr(&mut plain);
    compare("74 MB of /usr/share", &plain.finish(), &store, dir.path(), 3);
    let mut awkward = Grower::new(&store);
    usr(&mut awkward);
    awkward.everything();
    compare("the same and oddities", &awkward.finish(), &store, dir.path(), 20);
    let mut many = Grower::new(&store);
    for part in 0..100 {
        many.many(&format!("part-{part}"), 1000);
    }
    let many = store.put_tree(&many.finish()).unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["memory".as_ref(), store.dir().as_os_str(), many.hex().as_ref()])
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

/// The first 74 MB of /usr/share by name.
fn usr(grower: &mut Grower<'_>) {
    let mut total = 0;
    for entry in WalkDir::new("/usr/share").sort_by_file_name().min_depth(1) {
        let entry = entry.unwrap();
        let at = format!("usr/{}", entry.path().strip_prefix("/usr/share").unwrap().display());
        let kind = entry.file_type();
        if kind.is_dir() {
            grower.directory(at);
        } else if kind.is_symlink() {
            grower.symlink(at, fs::read_link(entry.path()).unwrap().as_os_str().as_encoded_bytes());
        } else {
            let bytes = fs::read(entry.path()).unwrap();
            total += bytes.len();
            grower.file(at, &bytes);
        }
        if total >= 74_000_000 {
            break;
        }
    }
}

fn shape() -> Shape {
    let (size, epoch) = (Size::Free(32 * MIB), Time::from_seconds(1_735_689_600));
    Shape {
        version: FORMAT,
        size,
        spare_inodes: 10_000,
        label: String::new(),
        journal: None,
        epoch,
    }
}

fn write(tree: &Tree, store: &Store, image: &Path) -> Digest {
    let _ = fs::remove_file(image);
    let layout = layout(tree, &shape()).unwrap();
    let file = fs_err::File::create_new(image).unwrap();
    lay(layout.size(), layout.pieces(), store, &file, cores()).unwrap()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn compare(name: &str, tree: &Tree, store: &Store, dir: &Path, target: u32) {
    let image = dir.join("image");
    let own = (0..5).map(|_| timed(|| _ = write(tree, store, &image))).min().unwrap();
    let size = fs::metadata(&image).unwrap().len();
    let (mut import, mut other) = (None, None);
    let mounted = dir.join("mounted");
    fs::create_dir_all(&mounted).unwrap();
    let mount = Command::new("mount").args(["-o", "loop,ro"]).args([&image, &mounted]).status();
    if mount.is_ok_and(|status| status.success()) {
        // Once without a clock, so that nobody waits for the disk.
        let fresh = Store::open(&dir.join(format!("fresh-{target}"))).unwrap();
        if target == 3 {
            fresh.import(&mounted, Time::default()).unwrap();
            drop(fresh);
            let fresh = Store::open(&dir.join("fresh-again")).unwrap();
            import = Some(timed(|| {
                let mut draft = fresh.import(&mounted, Time::default()).unwrap().to_draft();
                draft.remove(&grow::path("lost+found"));
                write(&draft.finish().unwrap(), &fresh, &dir.join("imported"));
            }));
        } else {
            WalkDir::new(&mounted)
                .into_iter()
                .flatten()
                .filter(|entry| entry.file_type().is_file())
                .for_each(|entry| drop(fs::read(entry.path())));
        }
        other = Some(timed(|| {
            let result = dir.join("mke2fs");
            let _ = fs::remove_file(&result);
            let status = Command::new("mke2fs")
                .args(["-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal"])
                .args(["-N".into(), (tree.len() + 10_000).to_string(), "-d".into()])
                .args([&mounted, &result])
                .arg(format!("{}K", size / 1024))
                .status();
            assert!(status.unwrap().success());
        }));
        assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
    } else {
        println!("SKIPPED: comparing with mke2fs takes root, loop devices and mke2fs");
    }
    let seconds = |time: Option<Duration>| {
        time.map_or("-".into(), |time| format!("{:.2} s", time.as_secs_f64()))
    };
    let ratio = other
        .map_or("-".into(), |other| format!("1/{:.1}", other.as_secs_f64() / own.as_secs_f64()));
    println!(
        "{name:<24} {:>8} {:>8} {:>9} {:>12} {:>8} {ratio:>7}  1/{target}",
        tree.len(),
        format!("{} MiB", size / MIB),
        seconds(Some(own)),
        seconds(import),
        seconds(other)
    );
}

/// Writes an image in a process of its own, and says how much memory that took at most.
fn memory(store: &Path, tree: &str) {
    let store = Store::open(store).unwrap();
    let tree = store.tree(&tree.parse().unwrap()).unwrap();
    let image = store.dir().join("image");
    let time = timed(|| _ = write(&tree, &store, &image));
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let peak: u64 = peak.trim_end_matches(" kB").parse().unwrap();
    println!(
        "{} entries in {:.2} s with {} MiB at most (target: 64)",
        tree.len(),
        time.as_secs_f64(),
        peak / 1024
    );
}
