//! Whom to believe, and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{KeyId, PublicKey};
use crate::digest::Digest;

/// Keys that are trusted, without those that are revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    trusted: BTreeMap<KeyId, PublicKey>,
    revoked: BTreeSet<KeyId>,
}

/// What a key's word is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Believed<'a> {
    /// It counts.
    Trusted(&'a PublicKey),
    /// It does not count any more.
    Revoked,
    /// It never counted.
    Unknown,
}

impl Keys {
    /// Trusts some keys, and revokes some: a revoked one is not trusted, whoever lists it.
    pub fn new(
        trusted: impl IntoIterator<Item = PublicKey>,
        revoked: impl IntoIterator<Item = KeyId>,
    ) -> Self {
        let trusted = trusted.into_iter().map(|key| (key.id(), key)).collect();
        Self { trusted, revoked: revoked.into_iter().collect() }
    }

    /// These and more.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = PublicKey>) -> Self {
        for key in more {
            // The name that the user wrote first stays.
            self.trusted.entry(key.id()).or_insert(key);
        }
        self
    }

    /// What a key's word is worth.
    pub fn believed(&self, id: KeyId) -> Believed<'_> {
        if self.revoked.contains(&id) {
            return Believed::Revoked;
        }
        self.trusted.get(&id).map_or(Believed::Unknown, Believed::Trusted)
    }

    /// All that are trusted.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.trusted.iter().filter(|(id, _)| !self.revoked.contains(id)).map(|(_, key)| key)
    }

    /// Whether no key is trusted.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// A key's name, if it has one here.
    pub fn name(&self, id: KeyId) -> Option<&str> {
        self.trusted.get(&id).map(PublicKey::name)
    }
}

/// What some outputs need more, or less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// How many must agree.
    pub need: Option<usize>,
    /// Whose word counts, among the trusted keys; that of all if not given.
    pub keys: Option<BTreeSet<KeyId>>,
}

/// Whose statements count, and how many must agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whose statements count, wherever they are kept.
    pub keys: Keys,
    /// How many must agree before an output is taken.
    pub need: usize,
    /// What goes for a recipe instead, by name.
    pub recipes: BTreeMap<String, Rule>,
    /// Keys that count for what one cache sends, besides those that count everywhere, by the cache's address.
    pub at: BTreeMap<String, Vec<PublicKey>>,
    /// How many must agree on what one cache sends, by the cache's address, before it counts at all.
    pub need_at: BTreeMap<String, usize>,
}

impl Default for Policy {
    /// Believes nobody.
    fn default() -> Self {
        Self {
            keys: Keys::default(),
            need: 1,
            recipes: BTreeMap::new(),
            at: BTreeMap::new(),
            need_at: BTreeMap::new(),
        }
    }
}

/// Who says something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// This machine, which built it.
    Here,
    /// A key, and its owner's name if it is known.
    Key(KeyId, Option<String>),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str("this machine"),
            Self::Key(id, Some(name)) => write!(f, "{name} ({id})"),
            Self::Key(id, None) => write!(f, "the key {id}"),
        }
    }
}

/// What to make of what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Enough say the same, and nobody says otherwise.
    Take {
        /// What they say.
        output: Digest,
        /// Who does; this machine is not named.
        by: Vec<KeyId>,
    },
    /// Nobody says otherwise, but too few say it.
    TooFew {
        /// What they say; none if nobody says anything.
        output: Option<Digest>,
        /// How many do.
        have: usize,
        /// How many should.
        need: usize,
    },
    /// They do not agree. It is not for this program to choose.
    Alarm {
        /// Who says what.
        sides: BTreeMap<Digest, Vec<Who>>,
    },
}

impl Policy {
    /// The keys that count for what a cache sends.
    pub fn keys_at(&self, cache: &str) -> Keys {
        let more = self.at.get(cache).into_iter().flatten().cloned();
        self.keys.clone().with(more)
    }

    /// How many must agree on an output that goes into all of these recipes: as many as the strictest of them needs.
    pub fn need(&self, names: &[&str]) -> usize {
        let need = |name: &&str| self.recipes.get(*name).and_then(|rule| rule.need);
        names.iter().map(|name| need(name).unwrap_or(self.need)).max().unwrap_or(self.need)
    }

    /// What counts of all that one cache sends about one output: everything, but where the cache has a need of its own, only
    /// what so many say. A disagreement passes, since an alarm is never too faint.
    pub fn admitted(&self, cache: &str, said: &[(KeyId, Digest)]) -> Vec<(KeyId, Digest)> {
        let need = self.need_at.get(cache).copied().unwrap_or(0);
        let outputs: BTreeSet<&Digest> = said.iter().map(|(_, output)| output).collect();
        let keys: BTreeSet<&KeyId> = said.iter().map(|(by, _)| by).collect();
        if outputs.len() > 1 || keys.len() >= need { said.to_vec() } else { Vec::new() }
    }

    /// Decides about an output from what opened statements say of it, each key as often as it likes but counted once, and
    /// from what came of it on this machine, which counts as one more. `names` are the recipes whose rules hold for it, all
    /// of them: for most outputs their own alone.
    pub fn judge(
        &self,
        names: &[&str],
        said: &[(KeyId, Digest)],
        local: Option<Digest>,
    ) -> Verdict {
        let heard = said.iter().filter(|(by, _)| self.keys.believed(*by) != Believed::Revoked);
        let mut sides: BTreeMap<Digest, BTreeSet<Who>> = BTreeMap::new();
        for (by, output) in heard {
            sides.entry(*output).or_default().insert(self.who(*by));
        }
        if let Some(output) = local {
            sides.entry(output).or_default().insert(Who::Here);
        }
        let mut sides = sides.into_iter();
        let need = self.need(names);
        match (sides.next(), sides.next()) {
            (None, _) => Verdict::TooFew { output: None, have: 0, need },
            (Some((output, who)), None) => {
                let counted: BTreeSet<&Who> =
                    who.iter().filter(|who| self.counts(names, who)).collect();
                let have = counted.len();
                if have >= need.max(1) {
                    let by = counted.into_iter().filter_map(|who| match who {
                        Who::Key(id, _) => Some(*id),
                        Who::Here => None,
                    });
                    Verdict::Take { output, by: by.collect() }
                } else {
                    Verdict::TooFew { output: Some(output), have, need }
                }
            }
            (Some(one), Some(other)) => {
                let sides = [one, other].into_iter().chain(sides);
                let sides = sides.map(|(output, who)| (output, who.into_iter().collect()));
                Verdict::Alarm { sides: sides.collect() }
            }
        }
    }

    /// A key with its owner's name.
    pub fn who(&self, id: KeyId) -> Who {
        let at = || self.at.values().flatten().find(|key| key.id() == id).map(PublicKey::name);
        Who::Key(id, self.keys.name(id).or_else(at).map(str::to_owned))
    }

    /// Whether somebody's word counts for all of these recipes.
    fn counts(&self, names: &[&str], who: &Who) -> bool {
        let mut only = names.iter().filter_map(|name| self.recipes.get(*name)?.keys.as_ref());
        match who {
            Who::Key(id, _) => only.all(|only| only.contains(id)),
            Who::Here => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trust::SecretKey;

    fn key(name: &str) -> PublicKey {
        SecretKey::from_seed(name, Digest::of(name).as_bytes()).unwrap().public()
    }

    fn policy(need: usize) -> Policy {
        let keys = Keys::new(["a", "b", "c"].map(key), [key("r").id()]);
        Policy { keys, need, ..Policy::default() }
    }

    fn said(list: &[(&str, &str)]) -> Vec<(KeyId, Digest)> {
        list.iter().map(|(by, output)| (key(by).id(), Digest::of(output))).collect()
    }

    fn taken(verdict: &Verdict) -> Option<usize> {
        match verdict {
            Verdict::Take { by, .. } => Some(by.len()),
            Verdict::TooFew { .. } | Verdict::Alarm { .. } => None,
        }
    }

    #[test]
    fn it_is_taken_when_so_many_agree() {
        for (need, list, by) in [
            (1, vec![("a", "x")], Some(1)),
            (2, vec![("a", "x")], None),
            (2, vec![("a", "x"), ("b", "x")], Some(2)),
            (2, vec![("a", "x"), ("a", "x")], None),
            (3, vec![("a", "x"), ("b", "x"), ("c", "x")], Some(3)),
            (1, vec![], None),
            // Nothing is taken because nobody said anything, even where none is needed.
            (0, vec![], None),
        ] {
            let verdict = policy(need).judge(&["hello"], &said(&list), None);
            assert_eq!(taken(&verdict), by, "{need} of {list:?}: {verdict:?}");
        }
    }

    #[test]
    fn too_few_says_how_many_there_are() {
        let verdict = policy(3).judge(&["hello"], &said(&[("a", "x"), ("b", "x")]), None);
        assert_eq!(verdict, Verdict::TooFew { output: Some(Digest::of("x")), have: 2, need: 3 });
    }

    #[test]
    fn a_local_build_counts_as_one() {
        let (policy, x) = (policy(2), Digest::of("x"));
        assert_eq!(taken(&policy.judge(&["hello"], &said(&[("a", "x")]), Some(x))), Some(1));
        assert_eq!(taken(&policy.judge(&["hello"], &[], Some(x))), None);
    }

    #[test]
    fn two_who_disagree_are_an_alarm_however_many_agree() {
        let list = said(&[("a", "x"), ("b", "x"), ("c", "y")]);
        for need in [1, 2, 3] {
            let Verdict::Alarm { sides } = policy(need).judge(&["hello"], &list, None) else {
                panic!("no alarm");
            };
            let of = |output: &str| {
                let who = sides[&Digest::of(output)].iter().map(Who::to_string);
                who.collect::<Vec<_>>()
            };
            assert_eq!(of("x").len(), 2);
            assert_eq!(of("y"), [format!("c ({})", key("c").id())]);
        }
        // A key that says two things is one as well, and so is this machine.
        for (list, local) in
            [(said(&[("a", "x"), ("a", "y")]), None), (said(&[("a", "x")]), Some(Digest::of("y")))]
        {
            let verdict = policy(1).judge(&["hello"], &list, local);
            assert!(matches!(verdict, Verdict::Alarm { .. }), "{verdict:?}");
        }
    }

    #[test]
    fn a_revoked_key_neither_helps_nor_alarms() {
        let verdict = policy(2).judge(&["hello"], &said(&[("a", "x"), ("r", "x")]), None);
        assert_eq!(taken(&verdict), None);
        let verdict = policy(1).judge(&["hello"], &said(&[("a", "x"), ("r", "y")]), None);
        assert_eq!(taken(&verdict), Some(1));
    }

    #[test]
    fn a_recipe_may_need_more_or_certain_keys() {
        let rule = Rule { need: Some(2), keys: Some([key("a").id(), key("b").id()].into()) };
        let policy = Policy { recipes: BTreeMap::from([("kernel".to_owned(), rule)]), ..policy(1) };
        let judge =
            |name: &str, list: &[(&str, &str)]| taken(&policy.judge(&[name], &said(list), None));
        assert_eq!(judge("hello", &[("c", "x")]), Some(1));
        assert_eq!(judge("kernel", &[("a", "x")]), None);
        assert_eq!(judge("kernel", &[("a", "x"), ("c", "x")]), None);
        assert_eq!(judge("kernel", &[("a", "x"), ("b", "x"), ("c", "x")]), Some(2));
        // Whose word does not count to take it can still be a reason not to.
        let list = said(&[("a", "x"), ("b", "x"), ("c", "y")]);
        assert!(matches!(policy.judge(&["kernel"], &list, None), Verdict::Alarm { .. }));
    }

    #[test]
    fn what_goes_into_several_recipes_needs_what_the_strictest_needs() {
        let rule = |need, keys: Option<[&str; 2]>| Rule {
            need,
            keys: keys.map(|keys| keys.map(|name| key(name).id()).into()),
        };
        let rules = [
            ("easy", rule(Some(1), None)),
            ("three", rule(Some(3), None)),
            ("of-a-b", rule(None, Some(["a", "b"]))),
            ("of-b-c", rule(None, Some(["b", "c"]))),
        ];
        let recipes = rules.map(|(name, rule)| (name.to_owned(), rule)).into();
        let policy = Policy { recipes, ..policy(2) };
        let judge = |names: &[&str], list: &[&str]| {
            let list: Vec<_> = list.iter().map(|by| (*by, "x")).collect();
            taken(&policy.judge(names, &said(&list), None))
        };
        assert_eq!(judge(&["easy"], &["a"]), Some(1));
        assert_eq!(judge(&["easy", "hello"], &["a"]), None, "the others need two");
        assert_eq!(judge(&["hello", "easy"], &["a", "b"]), Some(2));
        assert_eq!(judge(&["easy", "three"], &["a", "b"]), None);
        assert_eq!(judge(&["three", "easy"], &["a", "b", "c"]), Some(3));
        assert_eq!(judge(&["of-a-b", "of-b-c"], &["a", "b", "c"]), None, "only b is of both");
        assert_eq!(judge(&["of-a-b", "three"], &["a", "b", "c"]), None);
        assert_eq!(judge(&[], &["a"]), None);
        assert_eq!(judge(&[], &["a", "b"]), Some(2));
    }

    #[test]
    fn a_cache_may_have_keys_and_a_need_of_its_own() {
        let cache = "s3://lab";
        let policy = Policy {
            at: BTreeMap::from([(cache.to_owned(), vec![key("d"), key("r")])]),
            need_at: BTreeMap::from([(cache.to_owned(), 2)]),
            ..policy(1)
        };
        let believed = |cache: &str, name: &str| {
            matches!(policy.keys_at(cache).believed(key(name).id()), Believed::Trusted(_))
        };
        assert!(believed(cache, "a") && believed(cache, "d"));
        assert!(!believed("s3://other", "d") && !believed(cache, "r"));
        assert_eq!(policy.who(key("d").id()).to_string(), format!("d ({})", key("d").id()));
        let (one, two) = (said(&[("a", "x")]), said(&[("a", "x"), ("d", "x")]));
        assert_eq!(policy.admitted(cache, &one), []);
        assert_eq!(policy.admitted(cache, &two), two);
        assert_eq!(policy.admitted("s3://other", &one), one);
        let quarrel = said(&[("a", "x"), ("a", "y")]);
        assert_eq!(policy.admitted(cache, &quarrel), quarrel);
    }

    proptest! {
        #[test]
        fn nothing_is_taken_that_anybody_denies(
            list in prop::collection::vec((0..3usize, 0..2usize), 0..6),
            need in 0..4usize,
            local in prop::option::of(0..2usize),
        ) {
            let name = |by: usize| ["a", "b", "c"][by];
            let output = |output: usize| ["x", "y"][output];
            let words: Vec<_> = list.iter().map(|(by, what)| (name(*by), output(*what))).collect();
            let local = local.map(|what| Digest::of(output(what)));
            let verdict = policy(need).judge(&["hello"], &said(&words), local);
            let mut outputs: BTreeSet<_> = words.iter().map(|(_, what)| Digest::of(what)).collect();
            outputs.extend(local);
            let voices: BTreeSet<_> = words.iter().map(|(by, _)| by).collect();
            let voices = voices.len() + usize::from(local.is_some());
            match verdict {
                Verdict::Take { output, .. } => {
                    prop_assert_eq!(outputs, BTreeSet::from([output]));
                    prop_assert!(voices >= need.max(1));
                }
                Verdict::TooFew { have, .. } => {
                    prop_assert!(outputs.len() <= 1);
                    prop_assert!(have == voices && voices < need.max(1));
                }
                Verdict::Alarm { .. } => prop_assert!(outputs.len() > 1),
            }
        }
    }
}
