mod containers;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::path::GuestPath;

const TOOLS: (&str, &str) = (
    "recipes/tools.toml",
    "kind = 'packages'\ndescription = 'compilers'\ninclude = ['gcc', 'make']\n",
);
const KERNEL: (&str, &str) = (
    "kernels/linux.toml",
    "kind = 'kernel'
source = { from = 'tools', path = '/usr/src/linux.tar.xz' }
tools = 'tools'
script = 'linux.sh'
fragments = ['base.config']
symbols = { CONFIG_A = true, CONFIG_B = 'n', CONFIG_C = 'hello' }
",
);
const BASE: (&str, &str) = (
    "recipes/base.toml",
    "kind = 'rootfs'
packages = ['busybox-static', 'runc']
layers = [{ from = 'guest', path = '/bin', at = '/sbin' }]
[users.app]
uid = 1000
[files.'/etc/motd']
text = 'hello'
owner = 'app'
",
);
const GUEST: (&str, &str) = (
    "recipes/guest.toml",
    "kind = 'build'
tools = 'tools'
script = 'guest.sh'
inputs = { SOURCE = { source = '../guest' }, KERNEL = { from = 'linux' } }
env = { LEVEL = '3' }
",
);
const HELLO: (&str, &str) = (
    "recipes/hello.toml",
    "kind = 'image'
kernel = 'linux'
rootfs = 'base'
cmdline = 'console=ttyS0'
epoch = 2025-06-01T00:00:00Z
disk = { table = 'mbr', free = '64M' }
",
);
const ALL: [(&str, &str); 5] = [TOOLS, KERNEL, BASE, GUEST, HELLO];

fn texts(files: &[(&str, &str)]) -> BTreeMap<Source, String> {
    files
        .iter()
        .map(|(path, text)| (Source::project(path).expect(path), (*text).to_owned()))
        .collect()
}

fn recipes(more: &[(&str, &str)]) -> Recipes {
    load(&texts(&[&ALL, more].concat())).expect("good recipes")
}

/// The problems of `files` beside the good recipes: each with the text it points at.
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let texts = texts(&[&ALL, files].concat());
    let Err(Problems(problems)) = load(&texts) else { return Vec::new() };
    let shown = problems.iter().map(|problem| {
        let text = &texts[&problem.file];
        let place = problem.span.clone().map_or("", |span| text.get(span).expect("a span"));
        let hint = problem.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
        format!("{} | {} | {}{hint}", problem.file, place.replace('\n', " "), problem.message)
    });
    shown.collect()
}

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn rootfs<'r>(recipes: &'r Recipes, wanted: &str) -> &'r Rootfs {
    match &recipes.get(&name(wanted)).expect(wanted).kind {
        Kind::Rootfs(rootfs) => rootfs,
        other => panic!("{wanted} is of kind {}", other.word()),
    }
}

fn image<'r>(recipes: &'r Recipes, wanted: &str) -> &'r Image {
    match &recipes.get(&name(wanted)).expect(wanted).kind {
        Kind::Image(image) => image,
        other => panic!("{wanted} is of kind {}", other.word()),
    }
}

fn path(text: &str) -> GuestPath {
    GuestPath::lenient(text).expect(text)
}

#[test]
fn every_kind_means_what_it_says() {
    let recipes = recipes(&[]);
    let found = |wanted: &str| recipes.get(&name(wanted)).expect(wanted).clone();
    assert_eq!(found("tools").description, "compilers");
    let Kind::Build(build) = found("guest").kind else { panic!("guest is a build") };
    assert_eq!(build.inputs["SOURCE"], Input::Source(Source::project("guest").expect("a path")));
    let kernel = Input::Output { recipe: name("linux"), path: GuestPath::root() };
    assert_eq!(build.inputs["KERNEL"], kernel);
    assert_eq!(build.script, Source::project("recipes/guest.sh").expect("a path"));
    let Kind::Kernel(kernel) = found("linux").kind else { panic!("linux is a kernel") };
    let symbols: Vec<(&str, &str)> =
        kernel.symbols.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(symbols, [("CONFIG_A", "y"), ("CONFIG_B", "n"), ("CONFIG_C", "\"hello\"")]);
    let base = rootfs(&recipes, "base");
    assert_eq!(base.layers[0].at, path("/sbin"));
    assert_eq!(base.files[&path("/etc/motd")].owner, Owner { uid: 1000, gid: 1000 });
    assert_eq!(base.groups["app"].gid, 1000);
    let hello = image(&recipes, "hello");
    assert_eq!(hello.epoch, 1_748_736_000);
    assert_eq!(hello.disk.table, Table::Mbr);
    assert_eq!(hello.disk.size, Size::Free(64 << 20));
}

#[test]
fn sets_of_packages_have_names() {
    let recipes = recipes(&[]);
    let sets: Vec<String> = recipes.package_sets().keys().map(Name::to_string).collect();
    assert_eq!(sets, ["base.packages", "tools"]);
}

#[test]
fn the_closure_of_an_image_is_all_it_needs() {
    let recipes = recipes(&[("recipes/other.toml", "kind = 'packages'\n")]);
    let goal = name("hello");
    let names: Vec<&str> = recipes.closure([&goal]).into_iter().map(Name::as_str).collect();
    assert_eq!(names, ["base", "guest", "hello", "linux", "tools"]);
}

#[test]
fn one_file_of_a_lab_derives_an_image() {
    let lab = "kind = 'image'
extends = 'hello'
[rootfs]
packages = ['strace']
exclude = ['runc']
[rootfs.files.'/etc/motd']
mode = '0600'
[kernel.symbols]
CONFIG_B = true
[disk]
size = '1G'
";
    let recipes = recipes(&[("recipes/lab.toml", lab)]);
    let lab = image(&recipes, "lab");
    assert_eq!((lab.kernel.as_str(), lab.rootfs.as_str()), ("lab.kernel", "lab.rootfs"));
    assert_eq!(
        lab.disk,
        Disk { size: Size::Exact(1 << 30), ..image(&recipes, "hello").disk.clone() }
    );
    let inner = rootfs(&recipes, "lab.rootfs");
    let include = &inner.packages.as_ref().expect("packages").include;
    assert_eq!(include.iter().collect::<Vec<_>>(), ["busybox-static", "strace"]);
    let motd = &inner.files[&path("/etc/motd")];
    assert_eq!((&motd.content, motd.mode), (&FileContent::Text("hello".to_owned()), Some(0o600)));
    let kernel = recipes.get(&name("lab.kernel")).expect("a kernel");
    assert_eq!(kernel.within, Some(name("lab")));
    let Kind::Kernel(kernel) = &kernel.kind else { panic!("not a kernel") };
    assert_eq!(kernel.symbols["CONFIG_B"], "y");
    assert_eq!(kernel.symbols["CONFIG_A"], "y", "the base's symbols stay");
    assert!(recipes.package_sets().contains_key(&name("lab.rootfs.packages")));
}

#[test]
fn what_an_heir_does_not_touch_is_the_bases_own() {
    let recipes =
        recipes(&[("recipes/lab.toml", "kind = 'image'\nextends = 'hello'\ncmdline = 'x'\n")]);
    let lab = image(&recipes, "lab");
    assert_eq!((lab.kernel.as_str(), lab.rootfs.as_str(), &*lab.cmdline), ("linux", "base", "x"));
}

#[test]
fn an_heir_of_an_heir_extends_the_inner_root_file_system() {
    let one = "kind = 'image'\nextends = 'hello'\nrootfs = { packages = ['strace'] }\n";
    let two = "kind = 'image'\nextends = 'one'\nrootfs = { packages = ['gdb'], remove = ['/x'] }\n";
    let recipes = recipes(&[("recipes/one.toml", one), ("recipes/two.toml", two)]);
    let two = rootfs(&recipes, "two.rootfs");
    let include = &two.packages.as_ref().expect("packages").include;
    assert_eq!(include.iter().collect::<Vec<_>>(), ["busybox-static", "gdb", "runc", "strace"]);
}

#[test]
fn archives_are_added_to_those_of_the_base_or_the_default() {
    let text = "kind = 'packages'\nextends = 'tools'\narchives = ['debian-security bookworm-security main']\n";
    let recipes = recipes(&[("recipes/more.toml", text)]);
    let sets = recipes.package_sets();
    let suites: Vec<String> = sets[&name("more")].suites.iter().map(Suite::to_string).collect();
    assert_eq!(suites, ["debian bookworm main", "debian-security bookworm-security main"]);
}

#[test]
fn users_of_lower_layers_own_files_above() {
    let text = "kind = 'rootfs'
layers = ['base']
groups = { video = 44 }
users.cam = { uid = 1001, group = 'video', groups = ['app'], home = '/cam' }
files.'/a' = { text = '', owner = 'app:video' }
files.'/b' = { text = '', owner = '7:8' }
directories.'/cam' = { owner = 'cam' }
attributes.'/bin/ping' = { capabilities = 'cap_net_raw+ep' }
devices.'/dev/null' = { type = 'char', major = 1, minor = 3, mode = '0666' }
links.'/bin/sh' = 'busybox'
";
    let recipes = recipes(&[("recipes/top.toml", text)]);
    let top = rootfs(&recipes, "top");
    assert_eq!(top.files[&path("/a")].owner, Owner { uid: 1000, gid: 44 });
    assert_eq!(top.files[&path("/b")].owner, Owner { uid: 7, gid: 8 });
    assert_eq!(top.directories[&path("/cam")].owner, Owner { uid: 1001, gid: 44 });
    assert_eq!(top.users.keys().collect::<Vec<_>>(), ["app", "cam"]);
    assert!(top.groups["app"].members.contains("cam"));
}

#[test]
fn all_problems_are_reported_at_once_with_their_places() {
    let found = problems(&[
        (
            "recipes/bad.toml",
            "kind = 'image'\nkernal = 'linux'\nkernel = 'linus'\nrootfs = 'tools'\ncmdline = 3\n[disk]\nfree = '1GB'\n",
        ),
        ("recipes/worse.toml", "kind = 'rootfs'\nlayers = ['bases', 3]\nreplace = ['etc']\n"),
    ]);
    assert_eq!(
        found,
        [
            "recipes/bad.toml | kernal | unknown key `kernal` (did you mean `kernel`?)",
            "recipes/bad.toml | 'linus' | unknown recipe `linus` (did you mean `linux`?)",
            "recipes/bad.toml | 'tools' | `tools` is of kind packages, but here belongs one of kind rootfs",
            "recipes/bad.toml | 3 | this must be a string, not an integer",
            "recipes/bad.toml | '1GB' | `1GB` is not a size (write bytes, or a whole number with K, M, G or T, such as \"512M\")",
            "recipes/worse.toml | 'bases' | unknown recipe `bases` (did you mean `base`?)",
            "recipes/worse.toml | 3 | this must be the name of a recipe or a table, not an integer",
            "recipes/worse.toml | 'etc' | `etc` is not an absolute path (write `/etc`)",
        ]
    );
}

/// The problem of one more recipe `x`.
fn problem(text: &str) -> String {
    let found = problems(&[("recipes/x.toml", text)]);
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].strip_prefix("recipes/x.toml | ").expect("about x").to_owned()
}

#[test]
fn each_mistake_has_its_message() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        (
            "",
            " | `kind` is missing (write `kind = \"image\"`, or packages, build, kernel, rootfs, oci-image, function or preload)",
        ),
        ("kind = 'rootfs'\nx", " | key with no value, expected `=`"),
        ("kind = 'imag'", "'imag' | unknown kind `imag` (did you mean `image`?)"),
        ("kind = 3", "3 | this must be a string, not an integer"),
        (
            "kind = 'build'\nscript = 'a'",
            "'build' | `tools` is missing: a recipe of this kind needs it",
        ),
        (
            "kind = 'packages'\narchitecture = 'arm'",
            "'arm' | unknown architecture `arm` (known are `amd64`, `arm64`)",
        ),
        ("kind = 'packages'\ninclude = ['GCC']", "'GCC' | `GCC` is not a Debian package's name"),
        ("kind = 'packages'\ninclude = 'gcc'", "'gcc' | this must be a list, not a string"),
        (
            "kind = 'packages'\nextends = 'tools'\nexclude = ['gc']",
            "'gc' | `gc` is not inherited from a base (did you mean `gcc`?)",
        ),
        (
            "kind = 'packages'\nextends = 'toolz'",
            "'toolz' | unknown recipe `toolz` (did you mean `tools`?)",
        ),
        (
            "kind = 'packages'\nextends = 'base'",
            "'base' | `base` is of kind rootfs, this is of kind packages",
        ),
        ("kind = 'packages'\nextends = 'x'", "'x' | recipes extend each other in a circle: x -> x"),
        ("kind = 'rootfs'\nlayers = ['x']", "'x' | recipes need each other in a circle: x -> x"),
        (
            "kind = 'rootfs'\nlayers = ['hello']",
            "'hello' | `hello` is of kind image, but here belongs one of kind packages or build or rootfs or preload",
        ),
        (
            "kind = 'rootfs'\narchives = ['debian sid main']",
            "'debian sid main' | this has no effect without `packages`",
        ),
        ("kind = 'rootfs'\nfiles.'/a'.mode = '644'", "'/a' | file `/a` needs `text` or `source`"),
        (
            "kind = 'rootfs'\nfiles.'/a' = { text = '', owner = 'ap' }\nusers.app.uid = 5",
            "'ap' | unknown user `ap` (did you mean `app`?)",
        ),
        (
            "kind = 'rootfs'\nfiles.'/a' = { text = '', owner = 'me' }",
            "'me' | unknown user `me` (declare it in `[users]`, or write a number)",
        ),
        (
            "kind = 'rootfs'\nfiles.'/a' = { text = '', mode = 644 }",
            "644 | this must be a string of octal digits, not an integer (write octal digits in quotes, such as \"0644\")",
        ),
        (
            "kind = 'rootfs'\nfiles.'/a' = { text = '', source = 'b' }",
            "'b' | `text` and `source` exclude each other",
        ),
        (
            "kind = 'rootfs'\nfiles.'/a' = { source = '../../b' }",
            "'../../b' | `../../b` lies outside the project",
        ),
        (
            "kind = 'rootfs'\nfiles.'/a/../b' = { text = '' }",
            "'/a/../b' | `/a/../b` is not a path inside a tree: a component is `.` or `..`",
        ),
        (
            "kind = 'rootfs'\nlinks = { '/a' = 'x', '/a/' = 'x' }",
            "'/a/' | this is written twice, spelled differently",
        ),
        (
            "kind = 'rootfs'\nlinks = { '/a' = 'x' }\ndirectories = { '/a' = {} }",
            "'x' | `/a` is declared as a directory and as a link",
        ),
        (
            "kind = 'rootfs'\ndevices.'/d' = { type = 'char', major = 1 }",
            "{ type = 'char', major = 1 } | device `/d` needs `type`, `major` and `minor`",
        ),
        (
            "kind = 'rootfs'\ndevices.'/d' = { type = 'char', major = 4096, minor = 1 }",
            "4096 | this must be a number from 0 to 4095",
        ),
        (
            "kind = 'rootfs'\nattributes.'/d'.capabilities = 'cap_nope+ep'",
            "'cap_nope+ep' | `cap_nope` is not a capability (write such as \"cap_net_raw+ep\")",
        ),
        ("kind = 'rootfs'\nusers.a = {}", "{} | user `a` needs a `uid`"),
        ("kind = 'rootfs'\nusers.root.uid = 0", "root | `root` is always there"),
        (
            "kind = 'rootfs'\nusers = { a = { uid = 5 }, b = { uid = 5 } }",
            "5 | user `a` has number 5 already",
        ),
        (
            "kind = 'rootfs'\nlayers = ['base']\nusers.app.uid = 5",
            "5 | user `app` has number 1000 in a layer",
        ),
        (
            "kind = 'rootfs'\nusers.a = { uid = 5, groups = ['b'] }",
            "'b' | unknown group `b` (declare it in `[groups]`, or write a number)",
        ),
        (
            "kind = 'kernel'\nextends = 'linux'\nsymbols.SMP = true",
            "SMP | `SMP` is not a kernel symbol (write `CONFIG_SMP`)",
        ),
        (
            "kind = 'kernel'\nextends = 'linux'\nsymbols.CONFIG_SMP = 'm'",
            "'m' | kernels are built without modules (write \"y\")",
        ),
        (
            "kind = 'build'\nextends = 'guest'\ninputs.A = { path = '/x' }",
            "{ path = '/x' } | an input names a recipe or a file (write `{ from = \"recipe\", path = \"/in/its/tree\" }` or `{ source = \"file\" }`)",
        ),
        (
            "kind = 'build'\nextends = 'guest'\ninputs.A = { from = 'tools', source = 'x' }",
            "{ from = 'tools', source = 'x' } | `from` and `source` exclude each other",
        ),
        (
            "kind = 'build'\nextends = 'guest'\nenv.SOURCE = 'x'",
            "'x' | `SOURCE` is the name of an input as well",
        ),
        (
            "kind = 'build'\nextends = 'guest'\nenv.out = 'x'",
            "out | `out` is where the output goes",
        ),
        (
            "kind = 'build'\nextends = 'guest'\nscript = '/bin/x'",
            "'/bin/x' | `/bin/x` is an absolute path (write it relative to this file)",
        ),
        (
            "kind = 'image'\nextends = 'hello'\ndisk = { size = 1, free = 2 }",
            "2 | `size` and `free` exclude each other",
        ),
        (
            "kind = 'image'\nextends = 'hello'\ndisk.table = 'dos'",
            "'dos' | unknown partition table `dos` (known are `none`, `mbr`, `gpt`)",
        ),
        (
            "kind = 'image'\nextends = 'hello'\ndisk.partition = 5",
            "5 | a master boot record has four partitions",
        ),
        (
            "kind = 'image'\nextends = 'hello'\ndisk.journal = true",
            "true | a journal needs a size (write a size such as \"4M\")",
        ),
        (
            "kind = 'image'\nextends = 'hello'\nrun.timeout = 'soon'",
            "'soon' | this is not a time span (write such as \"120s\")",
        ),
        (
            "kind = 'image'\nextends = 'hello'\nrun.cores = 0",
            "0 | this must be a number from 1 to 1024",
        ),
        (
            "kind = 'image'\nextends = 'hello'\ndescription = \"a\\nb\"",
            "\"a\\nb\" | this must be a single line",
        ),
        (
            "kind = 'image'\nextends = 'hello'\nrootfs = { kind = 'rootfs' }",
            "kind | unknown key `kind` (known are `architecture`, `archives`, `attributes`, `devices`, `directories`, `errata`, `exclude`, `extends`, `files`, `groups`, `layers`, `links`, `packages`, `remove`, `replace`, `users`)",
        ),
        (
            "kind = 'image'\nextends = 'hello'\nkernel = { architecture = 'arm64' }",
            "{ architecture = 'arm64' } | `base` has packages for amd64, but `x.kernel` is for arm64",
        ),
    ] {
        let found = problems(&[("recipes/x.toml", text)]);
        let expected = format!("recipes/x.toml | {expected}");
        if found != [expected.as_str()] {
            wrong.push((text, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(problem("kind = 'rootfs'\nlayers = [").contains("unclosed array"));
}

#[test]
fn a_broken_recipe_does_not_drag_others_into_the_report() {
    let found = problems(&[
        ("recipes/x.toml", "kind = 'kernel'\ntools = 3\nscript = 'a'\nsource = { source = 'b' }\n"),
        ("recipes/y.toml", "kind = 'kernel'\nextends = 'x'\n"),
        ("recipes/z.toml", "kind = 'image'\nextends = 'hello'\nkernel = 'y'\n"),
        ("recipes/v.toml", "kind = 'image'\nextends = 'w'\n"),
        ("recipes/w.toml", "kind = "),
    ]);
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn a_mistake_of_a_base_is_said_once() {
    let found = problems(&[
        ("recipes/x.toml", "kind = 'rootfs'\nlayers = ['nope']\n"),
        ("recipes/y.toml", "kind = 'rootfs'\nextends = 'x'\n"),
        ("recipes/z.toml", "kind = 'rootfs'\nextends = 'y'\n"),
    ]);
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn circles_across_files_are_found() {
    let found = problems(&[
        ("recipes/x.toml", "kind = 'rootfs'\nextends = 'y'\n"),
        ("recipes/y.toml", "kind = 'rootfs'\nextends = 'x'\n"),
        ("recipes/a.toml", "kind = 'rootfs'\nlayers = ['b']\n"),
        ("recipes/b.toml", "kind = 'rootfs'\nlayers = ['a']\n"),
    ]);
    assert_eq!(
        found,
        [
            "recipes/b.toml | 'a' | recipes need each other in a circle: a -> b -> a",
            "recipes/y.toml | 'x' | recipes extend each other in a circle: x -> y -> x",
        ]
    );
}

#[test]
fn names_of_files_are_names_of_recipes_and_used_once() {
    let found = problems(&[
        ("kernels/twin.toml", "kind = 'rootfs'\n"),
        ("recipes/twin.toml", ""),
        ("recipes/Big.toml", ""),
        ("recipes/hello.rootfs.toml", ""),
    ]);
    assert_eq!(
        found,
        [
            "recipes/Big.toml |  | `Big` is not a recipe's name (lower-case letters, digits, `.`, `+`, `-`, at most 128)",
            "recipes/hello.rootfs.toml |  | names that end in `.rootfs` are for what is inside a recipe",
            "recipes/twin.toml |  | `twin` is also the name of kernels/twin.toml (recipes and kernels share their names; rename one of them)",
        ],
        "{found:#?}"
    );
}

#[test]
fn a_project_may_copy_a_shipped_recipe_but_not_shadow_it() {
    let shipped = (Source::shipped(TOOLS.0).expect("a path"), TOOLS.1.to_owned());
    let mut texts = texts(&ALL);
    texts.insert(shipped.0, shipped.1);
    let recipes = load(&texts).expect("a copy");
    let tools = recipes.get(&name("tools")).expect("tools");
    assert_eq!(tools.file.library, Library::Project);
    texts.insert(Source::project(TOOLS.0).expect("a path"), "kind = 'packages'\n".to_owned());
    let problems = load(&texts).expect_err("a shadow").to_string();
    assert_eq!(
        problems,
        "recipes/tools.toml: `tools` is a recipe that comes with vsbuild (give this file another name and write \
         `extends = \"tools\"` in it)"
    );
}

proptest! {
    #[test]
    fn odd_texts_are_problems_and_never_panics(pieces in prop::collection::vec(piece(), 0..12)) {
        let text: String = pieces.concat();
        let mut texts = texts(&ALL);
        texts.insert(Source::project("recipes/x.toml").expect("a path"), text.clone());
        if let Err(Problems(problems)) = load(&texts) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                if problem.file.path == path("recipes/x.toml") && let Some(span) = problem.span {
                    prop_assert!(text.get(span).is_some());
                }
            }
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    let words = [
        "kind = 'image'\n",
        "kind = 'rootfs'\n",
        "kind = 'build'\n",
        "kind = 'kernel'\n",
        "kind = 'packages'\n",
        "extends = 'hello'\n",
        "extends = 'x'\n",
        "extends = 'base'\n",
        "[rootfs]\n",
        "[kernel.symbols]\n",
        "[disk]\n",
        "[files.'/a']\n",
        "[users.u]\n",
        "uid = 1\n",
        "group = 'u'\n",
        "owner = 'u:u'\n",
        "text = ''\n",
        "layers = ['x', 'base']\n",
        "rootfs = 'x.rootfs'\n",
        "kernel = 'x.kernel'\n",
        "size = '9999999999T'\n",
        "epoch = 9999-12-31\n",
        "\u{e9}",
        "'",
        "[",
        "=",
    ];
    prop_oneof![
        8 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ]
}

#[test]
fn deep_nesting_is_a_problem_and_no_overflow() {
    let (open, dots) = ("[".repeat(100_000), "a.".repeat(100_000));
    for text in [
        format!("kind = {open}"),
        format!("{dots}a = 1"),
        format!("[{dots}a]"),
        "{a=".repeat(100_000),
    ] {
        let texts = BTreeMap::from([(Source::project("recipes/x.toml").expect("a path"), text)]);
        assert!(load(&texts).is_err());
    }
}
