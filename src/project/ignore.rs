// The build script takes this file in as well, so that what ships is chosen as what a project holds is.

/// Whether a file or directory with this name is no part of a source: what version control, editors and file managers
/// leave behind, and what cargo builds. `has_manifest` says whether a `Cargo.toml` lies beside it.
pub(crate) fn is_ignored(name: &[u8], has_manifest: bool) -> bool {
    const NAMES: [&[u8]; 7] =
        [b".git", b".hg", b".svn", b".jj", b".DS_Store", b"__pycache__", b".direnv"];
    let swap = name.starts_with(b".") && (name.ends_with(b".swp") || name.ends_with(b".swo"));
    let autosave = name.starts_with(b"#") && name.ends_with(b"#");
    NAMES.contains(&name)
        || (name == b"target" && has_manifest)
        || name.ends_with(b"~")
        || name.starts_with(b".#")
        || swap
        || autosave
}
