//! Root file systems as recipes declare them, from packages to a tree in the store.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use common::lab::Lab;

/// A lab with two packages that a root file system may take.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.text_package(
        "app",
        &[
            ("usr/bin/app", "#!/bin/sh\n"),
            ("etc/app.conf", "mode = app\n"),
            ("usr/share/doc/app/README", "read me\n"),
        ],
    );
    lab.text_package("other", &[("etc/app.conf", "mode = other\n")]);
    lab
}

/// Makes `app` the one package of the recipe `root`, which has these further lines.
fn root(lab: &mut Lab, more: &str) {
    lab.env.write("recipes/root.toml", &format!("kind = \"rootfs\"\npackages = [\"app\"]\n{more}"));
    lab.set("root.packages", &["app"], &["app"]);
}

fn line<'t>(tree: &'t str, path: &str) -> &'t str {
    let find = |line: &&str| line.split(' ').nth(1) == Some(path);
    tree.lines().find(find).unwrap_or_else(|| panic!("no {path} in\n{tree}"))
}

#[test]
fn everything_that_a_recipe_declares_is_in_the_tree() {
    let mut lab = lab();
    lab.env.write("recipes/start.sh", "#!/bin/sh\necho started\n");
    root(
        &mut lab,
        r#"
remove = ["/usr/share/doc"]
replace = ["/etc/app.conf"]
links = { "/usr/sbin/init" = "/usr/bin/app" }

[groups]
wheel = 10

[users.alice]
uid = 1001
group = "wheel"
groups = ["wheel"]
comment = "Alice"
home = "/home/alice"
shell = "/usr/bin/app"

[files."/etc/app.conf"]
text = "mode = mine\n"
mode = "0640"
owner = "alice:wheel"

[files."/usr/local/bin/start"]
source = "start.sh"
mode = "0755"

[directories."/home/alice"]
mode = "0700"
owner = "alice"

[directories."/tmp"]
mode = "1777"

[devices."/dev/console"]
type = "char"
major = 5
minor = 1
mode = "0600"

[attributes."/usr/bin/app"]
mode = "4755"
capabilities = "cap_net_raw+ep"
"#,
    );
    let tree = lab.tree("root");
    let starts = |path: &str, text: &str| {
        assert!(line(&tree, path).starts_with(text), "{path}: {}", line(&tree, path));
    };
    starts("/etc/app.conf", "f /etc/app.conf 0640 1001 10 1686355200 12 ");
    starts("/home/alice", "d /home/alice 0700 1001 10 1686355200");
    starts("/tmp", "d /tmp 1777 0 0 ");
    starts("/usr/local/bin/start", "f /usr/local/bin/start 0755 0 0 ");
    starts("/usr/local/bin", "d /usr/local/bin 0755 0 0 ");
    starts("/dev/console", "c /dev/console 0600 0 0 1686355200 5:1");
    starts("/usr/bin/app", "f /usr/bin/app 4755 0 0 ");
    assert!(line(&tree, "/usr/bin/app").contains(" @security.capability="), "{tree}");
    starts("/usr/sbin/init", "l /usr/sbin/init 0777 0 0 1686355200 /usr/bin/app");
    assert!(!tree.contains("/usr/share/doc"), "{tree}");
    assert_eq!(lab.output_file("root", "/etc/app.conf"), "mode = mine\n");
    assert_eq!(
        lab.output_file("root", "/etc/passwd"),
        "root:*:0:0:root:/root:/bin/sh\nalice:*:1001:10:Alice:/home/alice:/usr/bin/app\n"
    );
    assert_eq!(lab.output_file("root", "/etc/group"), "root:*:0:\nwheel:*:10:alice\n");
    assert!(lab.output_file("root", "/var/lib/dpkg/status").contains("Package: app\n"));
}

#[test]
fn two_layers_that_want_different_things_are_both_named() {
    let mut lab = lab();
    lab.env.write("recipes/second.toml", "kind = \"packages\"\ninclude = [\"other\"]\n");
    lab.set("second", &["other"], &["other"]);
    root(&mut lab, "layers = [\"second\"]\n");
    let said = lab.run(&["build", "root"]).bad(3);
    for word in ["/etc/app.conf", "root.packages", "second", "`replace`"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    root(&mut lab, "layers = [\"second\"]\nreplace = [\"/etc/app.conf\"]\n");
    assert_eq!(lab.output_file("root", "/etc/app.conf"), "mode = other\n", "the later one wins");
}

#[test]
fn a_part_of_a_layer_can_be_put_elsewhere() {
    let mut lab = lab();
    lab.script("made", "mkdir -p $out/a/b; echo deep > $out/a/b/file; echo no > $out/no\n", "");
    root(&mut lab, "layers = [{ from = \"made\", path = \"/a\", at = \"/opt/made\" }]\n");
    assert_eq!(lab.output_file("root", "/opt/made/b/file"), "deep\n");
    assert!(!lab.tree("root").contains("/no "));
    root(&mut lab, "layers = [{ from = \"made\", path = \"/nope\" }]\n");
    let said = lab.run(&["build", "root"]).bad(3);
    assert!(said.contains("`made` has no /nope"), "{said}");
}

#[test]
fn a_declared_file_that_a_layer_has_too_is_an_error_that_says_what_to_do() {
    let mut lab = lab();
    root(&mut lab, "files.\"/etc/app.conf\" = { text = \"mine\" }\n");
    let said = lab.run(&["build", "root"]).bad(3);
    assert!(said.contains("/etc/app.conf") && said.contains("`replace`"), "{said}");
}

#[test]
fn a_declared_path_below_a_link_is_an_error_that_names_the_link() {
    let mut lab = lab();
    root(&mut lab, "links.\"/sbin/init\" = \"/usr/bin/app\"\n");
    let said = lab.run(&["build", "root"]).bad(3);
    assert!(said.contains("/sbin/init: /sbin is a link to usr/sbin"), "{said}");
}

#[test]
fn an_edit_of_what_is_not_there_is_an_error() {
    let mut lab = lab();
    root(&mut lab, "remove = [\"/usr/share/locale\"]\n");
    let said = lab.run(&["build", "root"]).bad(3);
    assert!(said.contains("/usr/share/locale: nothing there to remove"), "{said}");
    root(&mut lab, "attributes.\"/usr/bin/nope\" = { mode = \"0755\" }\n");
    let said = lab.run(&["build", "root"]).bad(3);
    assert!(said.contains("/usr/bin/nope: nothing there to change the attributes of"), "{said}");
}

#[test]
fn mistakes_in_a_recipe_are_all_shown_where_they_are() {
    let mut lab = lab();
    root(
        &mut lab,
        "pakages = [\"x\"]\nfiles.\"/x\" = { text = \"x\", mode = \"0999\", owner = \"bob\" }\n",
    );
    let ran = lab.run(&["build", "root"]);
    let said = ran.bad(2);
    for word in
        ["recipes/root.toml:3", "pakages", "`packages`", "0999", "bob", "mistakes in the recipes"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    let text = lab.run(&["build", "root", "--json"]).stdout;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["exit"], 2);
    assert!(value["places"].as_array().unwrap().len() >= 2, "{text}");
    assert_eq!(value["places"][0]["file"], "recipes/root.toml");
}
