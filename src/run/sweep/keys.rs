//! The keys that a sweep may vary, which are those of a machine.

/// What kind of value a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    /// A number or a name.
    Either,
}

/// Keys of a machine outside its tables.
const TOP: [(&str, Kind); 10] = [
    ("preset", Kind::Text),
    ("cpu", Kind::Text),
    ("cores", Kind::Number),
    ("clock", Kind::Text),
    ("memory", Kind::Text),
    ("dram", Kind::Text),
    ("setup", Kind::Text),
    ("settle", Kind::Number),
    ("stats", Kind::Text),
    ("max_ticks", Kind::Number),
];
const CACHES: [&str; 4] = ["l1i", "l1d", "l2", "l3"];
const CACHE: [(&str, Kind); 4] = [
    ("size", Kind::Text),
    ("assoc", Kind::Number),
    ("latency", Kind::Number),
    ("mshrs", Kind::Number),
];
/// Sizes of out-of-order cores, as `harness/machine.py` knows them.
const O3: [&str; 14] = [
    "branch",
    "fetch_width",
    "width",
    "rob",
    "iq",
    "lq",
    "sq",
    "int_regs",
    "fp_regs",
    "fetch_buffer",
    "fetch_queue",
    "fetch_to_decode",
    "rename_to_iew",
    "iew_to_commit",
];

/// All keys of a machine, dotted.
pub(super) fn all() -> impl Iterator<Item = (String, Kind)> + Clone {
    let top = TOP.into_iter().map(|(key, kind)| (key.to_owned(), kind));
    let caches = CACHES.into_iter().flat_map(|cache| {
        CACHE.into_iter().map(move |(key, kind)| (format!("caches.{cache}.{key}"), kind))
    });
    let o3 = O3.into_iter().map(|key| (format!("o3.{key}"), Kind::Either));
    top.chain(caches).chain(o3)
}

/// The kind of a key's value, if there is such a key.
pub(super) fn kind(key: &str) -> Option<Kind> {
    all().find(|(known, _)| known == key).map(|(_, kind)| kind)
}

/// The key most like this one, if one is near enough to be meant.
pub(super) fn nearest<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let length = key.chars().count();
    let allowed = (length / 3).max(1).min(length.saturating_sub(1));
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, known)| known)
}
