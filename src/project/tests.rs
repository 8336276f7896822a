use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use fs_err as fs;
use tempfile::TempDir;

use super::*;
use crate::{
    digest::Digest,
    lock::{self, Lock, LockedSet},
    recipe::{self, Library, Source},
    tree::{Blobs, MemoryBlobs, Tree},
};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    dir
}

fn tree_of(root: &Path, source: &str) -> Result<Tree, Error> {
    let source = Source::project(source).expect(source);
    let project = Project { root: root.to_owned(), texts: BTreeMap::new(), lock: Lock::default() };
    let mut trees = sources(&project, &[source.clone()].into(), &MemoryBlobs::default())?;
    Ok(trees.remove(&source).expect("the tree"))
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn the_nearest_project_above_is_found() {
    let dir =
        folder(&[("lockfile.toml", "version = 1\n"), ("a/b/c.txt", ""), ("a/recipes/x.toml", "")]);
    let root = fs::canonicalize(dir.path()).expect("a path");
    let found = |start: &str| Project::find(&root.join(start)).expect(start).root;
    assert_eq!(found(""), root);
    assert_eq!(found("a/b"), root.join("a"));
    assert_eq!(found("a/recipes"), root.join("a"));
}

#[test]
fn a_folder_without_project_is_an_error_that_names_it() {
    let dir = folder(&[]);
    let error = Project::find(dir.path()).expect_err("no project");
    assert!(matches!(&error, Error::NoProject { .. }), "{error}");
    let name = dir.path().file_name().expect("a name").to_string_lossy().into_owned();
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn recipes_are_the_toml_files_right_in_their_directories() {
    let dir = folder(&[
        ("vsbuild.toml", "shipped = false\n"),
        ("recipes/a.toml", "kind = 'packages'\n"),
        ("recipes/.#b.toml", "x"),
        ("recipes/a.toml~", "x"),
        ("recipes/deep/c.toml", "x"),
        ("kernels/d.toml", ""),
        ("kernels/d.config", "x"),
    ]);
    let project = Project::read(dir.path()).expect("a project");
    let files: Vec<String> = project.texts.keys().map(Source::to_string).collect();
    assert_eq!(files, ["kernels/d.toml", "recipes/a.toml"]);
}

#[test]
fn shipped_recipes_are_there_unless_a_project_keeps_its_own() {
    let shipped = shipped_texts();
    assert!(!shipped.is_empty());
    let dir = folder(&[("vsbuild.toml", "")]);
    assert_eq!(Project::read(dir.path()).expect("a project").texts, shipped);
}

#[test]
fn bad_texts_are_errors_that_name_the_file() {
    for (name, text, expected) in [
        ("lockfile.toml", "version = 1\n\nsize = 3\n", "lockfile.toml:3"),
        ("vsbuild.toml", "shiped = false", "unknown field `shiped`"),
    ] {
        let dir = folder(&[(name, text)]);
        let error = Project::read(dir.path()).expect_err(text);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let dir = folder(&[("recipes/x.toml", "")]);
    fs::write(dir.path().join("recipes/x.toml"), b"\xff").expect("a file");
    assert!(matches!(Project::read(dir.path()), Err(Error::NotText { .. })));
    fs::write(dir.path().join("recipes/x.toml"), vec![b' '; (1 << 20) + 1]).expect("a file");
    assert!(matches!(Project::read(dir.path()), Err(Error::TooLarge { .. })));
}

#[test]
fn a_source_is_its_names_and_bytes_and_nothing_of_the_host() {
    let dir = folder(&[
        ("guest/Cargo.toml", "x"),
        ("guest/src/main.rs", "fn main() {}"),
        ("guest/target/debug/x", "x"),
        ("guest/src/target/kept", "x"),
        ("guest/.git/HEAD", "x"),
        ("guest/src/main.rs~", "x"),
        ("guest/build.sh", "#!/bin/sh\n"),
    ]);
    let script = dir.path().join("guest/build.sh");
    fs::set_permissions(&script, PermissionsExt::from_mode(0o700)).expect("a mode");
    fs::set_permissions(dir.path().join("guest/Cargo.toml"), PermissionsExt::from_mode(0o666))
        .expect("a mode");
    symlink("/nowhere", dir.path().join("guest/link")).expect("a link");
    let tree = tree_of(dir.path(), "guest").expect("a tree");
    assert_eq!(
        String::from_utf8_lossy(&tree.encode()),
        format!(
            "vsbuild-tree 1
d / 0755 0 0 1
f /Cargo.toml 0644 0 0 1 1 {x}
f /build.sh 0755 0 0 1 10 {script}
l /link 0777 0 0 1 /nowhere
d /src 0755 0 0 1
f /src/main.rs 0644 0 0 1 12 {main}
d /src/target 0755 0 0 1
f /src/target/kept 0644 0 0 1 1 {x}
",
            x = Digest::of("x"),
            script = Digest::of("#!/bin/sh\n"),
            main = Digest::of("fn main() {}"),
        )
    );
}

#[test]
fn a_single_file_is_a_tree_with_that_file() {
    let dir = folder(&[("recipes/deep/build.sh", "x")]);
    let tree = tree_of(dir.path(), "recipes/deep/build.sh").expect("a tree");
    assert_eq!(paths(&tree), ["/", "/build.sh"]);
}

#[test]
fn a_source_that_is_not_there_or_outside_or_odd_is_refused() {
    let outside = folder(&[("secret", "x")]);
    let dir = folder(&[("here/file", "x")]);
    symlink(outside.path(), dir.path().join("away")).expect("a link");
    assert!(matches!(tree_of(dir.path(), "nope"), Err(Error::NoSource(_))));
    assert!(matches!(tree_of(dir.path(), "away"), Err(Error::Outside(_))));
    assert!(matches!(tree_of(dir.path(), "away/secret"), Err(Error::Outside(_))));
    let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("here/socket"));
    assert!(matches!(tree_of(dir.path(), "here"), Err(Error::OddFile { .. })));
}

#[test]
fn what_ships_is_the_same_from_the_program_and_from_its_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recipes = recipe::load(&shipped_texts()).expect("shipped recipes");
    let shipped: BTreeSet<Source> =
        recipes.iter().flat_map(|recipe| recipe.sources().into_iter().cloned()).collect();
    let project = Project::read(root).expect("the repository");
    let blobs = MemoryBlobs::default();
    let from_program = sources(&project, &shipped, &blobs).expect("shipped sources");
    for (source, tree) in from_program {
        let local = Source { library: Library::Project, ..source.clone() };
        let from_disk = sources(&project, &[local.clone()].into(), &blobs).expect("local sources");
        assert_eq!(tree.digest(), from_disk[&local].digest(), "{source}");
        assert!(tree.contents().all(|content| blobs.open(&content.digest).is_ok()));
    }
}

const LIBRARY: [(&str, &str); 3] = [
    ("recipes/base.toml", "kind = 'rootfs'\npackages = ['runc']\n"),
    (
        "recipes/linux.toml",
        "kind = 'kernel'\nsource = { source = 'linux' }\ntools = 'base'\nscript = 'x.sh'\n",
    ),
    ("recipes/hello.toml", "kind = 'image'\nkernel = 'linux'\nrootfs = 'base'\ncmdline = ''\n"),
];

#[test]
fn a_new_project_is_whole_and_covered() {
    let texts: BTreeMap<Source, String> = LIBRARY
        .iter()
        .map(|(path, text)| (Source::shipped(path).expect(path), (*text).to_owned()))
        .collect();
    let recipes = recipe::load(&texts).expect("recipes");
    let mut shipped = Lock::default();
    for (name, asked) in recipes.package_sets() {
        let set = LockedSet {
            architecture: asked.architecture,
            suites: asked.suites.clone(),
            include: asked.include.clone(),
            packages: BTreeSet::new(),
        };
        shipped.sets.insert(name, set);
    }
    let files = init::draft("hello", texts.clone(), &shipped).expect("a project");
    let names: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["recipes/my-hello.toml", "lockfile.toml", ".gitignore"]);
    let mut all = texts;
    all.insert(Source::project(names[0]).expect("a path"), files[0].1.clone());
    let recipes = recipe::load(&all).expect("recipes of the new project");
    let goal = "my-hello".parse().expect("a name");
    let lock = Lock::parse(&files[1].1).expect("a lockfile");
    assert_eq!(lock::cover(&lock, &recipes, [&goal]), Ok(()));
    assert!(lock.sets.contains_key(&"my-hello.rootfs.packages".parse().expect("a name")));
}

#[test]
fn all_that_a_new_recipe_suggests_can_be_switched_on() {
    let mut texts: BTreeMap<Source, String> = LIBRARY
        .iter()
        .map(|(path, text)| (Source::shipped(path).expect(path), (*text).to_owned()))
        .collect();
    let files = init::draft("hello", texts.clone(), &Lock::default()).expect("a project");
    let lines = files[0].1.lines().map(|line| match line.strip_prefix('#') {
        Some(code) if !code.starts_with(' ') => code,
        _ => line,
    });
    let lines: Vec<&str> = lines.collect();
    texts.insert(Source::project("recipes/my-hello.toml").expect("a path"), lines.join("\n"));
    recipe::load(&texts).expect("good recipes");
}

#[test]
fn init_replaces_nothing_and_knows_what_ships() {
    let dir = folder(&[("lockfile.toml", "mine")]);
    let error = init(dir.path(), "nope").expect_err("no such image");
    assert!(matches!(error, Error::NoImage { .. }), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("lockfile.toml")).expect("a file"), "mine");
}
