//! What a copyright file declares, as an SPDX licence expression (SPDX 2.3, annex D).
//!
//! Names that SPDX lists are put in its words; every other name becomes a `LicenseRef-` that carries the text. Nothing
//! is guessed: a name that stands for several texts, such as a `BSD` without a number, stays with its own text.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    digest::Digest,
    formats::deb::copyright::{Copyright, Declared, Licence},
};

/// SPDX's own identifiers, of which Debian's names differ in case at most. One a line.
const IDENTIFIERS: &str = include_str!("identifiers.txt");

/// Debian's names, in lower case, for what SPDX calls otherwise.
const ALIASES: [(&str, &str); 28] = [
    ("apache-2", "Apache-2.0"),
    ("apache-2-llvm-exceptions", "Apache-2.0 WITH LLVM-exception"),
    ("apache-2.0 with llvm exception", "Apache-2.0 WITH LLVM-exception"),
    ("apache-2.0 with llvm-exception", "Apache-2.0 WITH LLVM-exception"),
    ("apache-2.0-with-llvm-exception", "Apache-2.0 WITH LLVM-exception"),
    // Debian's /usr/share/common-licenses/Artistic is the one that Perl has.
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-1", "Artistic-1.0-Perl"),
    ("artistic-2", "Artistic-2.0"),
    ("bsd (2 clause)", "BSD-2-Clause"),
    ("bsd (3 clause)", "BSD-3-Clause"),
    ("bsd-2", "BSD-2-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("bsd-4", "BSD-4-Clause"),
    ("bsd2", "BSD-2-Clause"),
    ("bsd3", "BSD-3-Clause"),
    ("boost-1.0", "BSL-1.0"),
    ("cc0", "CC0-1.0"),
    ("cc0 license", "CC0-1.0"),
    ("cddl", "CDDL-1.0"),
    ("cpl", "CPL-1.0"),
    ("expat", "MIT"),
    ("mit/x11", "MIT"),
    ("mpl-2", "MPL-2.0"),
    ("openldap-2.8", "OLDAP-2.8"),
    ("perl", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
    ("psf", "PSF-2.0"),
    ("psf-2", "PSF-2.0"),
    ("python", "Python-2.0"),
];

/// Exceptions that mean one text only, by a word that Debian's name for them has.
const EXCEPTIONS: [(&str, &str); 6] = [
    ("classpath", "Classpath-exception-2.0"),
    ("font", "Font-exception-2.0"),
    ("gcc", GCC),
    ("libtool", "Libtool-exception"),
    ("linux-syscall-note", "Linux-syscall-note"),
    ("llvm", "LLVM-exception"),
];

/// Words that a name for an exception may have besides, and still mean the same text.
const BESIDES: [&str; 4] = ["exception", "library", "linking", "runtime"];
/// The exception of GCC for version 3 of the GPL. For version 2 there was another one.
const GCC: &str = "GCC-exception-3.1";

/// The most words of a name that SPDX does not know. What is longer is a sentence.
const NAME_WORDS: usize = 2;

/// A licence of which SPDX has no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// What the copyright file calls it.
    pub name: String,
    /// Its text, or all that the copyright file says of it. Never empty.
    pub text: String,
}

/// The licences of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Licences {
    /// The expression; none if the copyright file says nothing.
    pub expression: Option<String>,
    /// The texts of its `LicenseRef-`s.
    pub extracted: BTreeMap<String, Extracted>,
}

/// The licences that a copyright file declares.
pub(super) fn of(copyright: &Copyright) -> Licences {
    let mut terms = Terms::default();
    let expression = match copyright {
        Copyright::Text(text) if text.is_empty() => None,
        Copyright::Text(text) => Some(terms.reference("copyright", text)),
        Copyright::Declared(declared) => {
            let all = declared.licences.iter().map(|licence| terms.licence(licence, declared));
            Some(Expression::joined(true, all.collect()))
        }
    };
    let expression = expression.map(|expression| expression.render(false));
    Licences { expression, extracted: terms.extracted }
}

/// An expression; sets, so that it is the same in whatever order and however often its parts were named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Expression {
    One(String),
    All(BTreeSet<Expression>),
    Any(BTreeSet<Expression>),
}

impl Expression {
    /// All (or any) of some expressions; those of the same kind become part of this one.
    fn joined(all: bool, parts: Vec<Self>) -> Self {
        let mut set = BTreeSet::new();
        for part in parts {
            match part {
                Self::All(inner) if all => set.extend(inner),
                Self::Any(inner) if !all => set.extend(inner),
                other => {
                    set.insert(other);
                }
            }
        }
        match set.pop_first() {
            Some(only) if set.is_empty() => only,
            first => {
                set.extend(first);
                if all { Self::All(set) } else { Self::Any(set) }
            }
        }
    }

    fn render(&self, inside: bool) -> String {
        let (set, word) = match self {
            Self::One(id) => return id.clone(),
            Self::All(set) => (set, " AND "),
            Self::Any(set) => (set, " OR "),
        };
        let text = set.iter().map(|part| part.render(true)).collect::<Vec<_>>().join(word);
        if inside { format!("({text})") } else { text }
    }
}

/// Words of a synopsis.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    And,
    Or,
    Comma,
    Name(String),
}

/// Puts names into SPDX's words, and keeps the texts of those that have none.
#[derive(Default)]
struct Terms {
    extracted: BTreeMap<String, Extracted>,
}

impl Terms {
    fn licence(&mut self, licence: &Licence, declared: &Declared) -> Expression {
        let words = words(&licence.synopsis);
        let sentence = words.iter().any(|word| {
            let Word::Name(name) = word else { return false };
            let long = name.split(' ').count() > NAME_WORDS && !name.contains(" with ");
            long && known(name).is_none()
        });
        let parsed = if sentence { None } else { self.list(&words, licence, declared) };
        parsed.unwrap_or_else(|| {
            let Licence { synopsis, text } = licence;
            let whole = format!("{synopsis}\n{text}");
            self.reference(if sentence { "" } else { synopsis }, whole.trim())
        })
    }

    /// `A or B, and C`: a comma binds least, then `or`, then `and` (copyright-format 1.0, 7.2).
    fn list(
        &mut self,
        words: &[Word],
        licence: &Licence,
        declared: &Declared,
    ) -> Option<Expression> {
        let mut whole: Option<Expression> = None;
        for part in words.split(|word| *word == Word::Comma) {
            let (all, part) = match part {
                [Word::Or, rest @ ..] if whole.is_some() => (false, rest),
                [Word::And, rest @ ..] if whole.is_some() => (true, rest),
                other => (true, other),
            };
            if !part.is_empty() {
                let part = self.choice(part, licence, declared)?;
                whole = Some(Expression::joined(all, whole.into_iter().chain([part]).collect()));
            }
        }
        whole
    }

    fn choice(
        &mut self,
        words: &[Word],
        licence: &Licence,
        declared: &Declared,
    ) -> Option<Expression> {
        let mut any = Vec::new();
        for part in words.split(|word| *word == Word::Or) {
            let mut all = Vec::new();
            for name in part.split(|word| *word == Word::And) {
                let [Word::Name(name)] = name else { return None };
                all.push(self.name(name, licence, declared));
            }
            any.push(Expression::joined(true, all));
        }
        Some(Expression::joined(false, any))
    }

    fn name(&mut self, name: &str, licence: &Licence, declared: &Declared) -> Expression {
        if let Some(known) = known(name) {
            let parts = known.split(" OR ").map(|id| Expression::One(id.to_owned()));
            return Expression::joined(false, parts.collect());
        }
        let elsewhere = || declared.texts.get(&name.to_lowercase()).cloned();
        let own = Some(licence.text.clone()).filter(|text| !text.is_empty());
        let text =
            if licence.synopsis == name { own.or_else(elsewhere) } else { elsewhere().or(own) };
        self.reference(name, &text.unwrap_or_else(|| name.to_owned()))
    }

    /// A reference to a text. Two packages that mean different texts by one name get two of them.
    fn reference(&mut self, name: &str, text: &str) -> Expression {
        let digest = Digest::of(text).short();
        let tame =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' });
        let tame: String = tame.collect();
        let tame: Vec<&str> = tame.split('-').filter(|part| !part.is_empty()).collect();
        let id = match tame.join("-") {
            tame if tame.is_empty() => format!("LicenseRef-{digest}"),
            tame => format!("LicenseRef-{tame}-{digest}"),
        };
        let name = if name.is_empty() { "without a name" } else { name };
        let extracted = Extracted { name: name.to_owned(), text: text.to_owned() };
        self.extracted.insert(id.clone(), extracted);
        Expression::One(id)
    }
}

fn words(synopsis: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let spaced = synopsis.replace(',', " , ").replace('|', " or ");
    for word in spaced.split_whitespace() {
        match (word.to_lowercase().as_str(), words.last_mut()) {
            ("and", _) => words.push(Word::And),
            ("or" | "and/or", _) => words.push(Word::Or),
            (",", _) => words.push(Word::Comma),
            (_, Some(Word::Name(name))) => {
                name.push(' ');
                name.push_str(word);
            }
            (_, _) => words.push(Word::Name(word.to_owned())),
        }
    }
    words
}

/// What SPDX calls a licence, if it lists it.
fn known(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    if let Some((_, id)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some((*id).to_owned());
    }
    if let Some(id) = IDENTIFIERS.lines().find(|id| id.eq_ignore_ascii_case(&name)) {
        return Some(id.to_owned());
    }
    match name.split_once(" with ") {
        None => gnu(&name),
        Some((base, exception)) => {
            let exception = exception.strip_suffix(" exception").unwrap_or(exception);
            let words: Vec<&str> = exception.split([' ', '-']).collect();
            let fits = |word: &str, id: &str| {
                let is_of_it = |other: &&str| {
                    *other == word || BESIDES.contains(other) || id.ends_with(&format!("-{other}"))
                };
                exception == word || (words.contains(&word) && words.iter().all(is_of_it))
            };
            let (_, exception) = EXCEPTIONS.iter().find(|(word, id)| fits(word, id))?;
            let base = gnu(base)?;
            let is_known = *exception != GCC || base.starts_with("GPL-3.0");
            is_known.then(|| format!("{base} WITH {exception}"))
        }
    }
}

/// `gpl-2+`, `lgplv2.1`, `gpl-2.0-or-later`, `gfdl-niv-1.3+`: the family of the GPL.
fn gnu(name: &str) -> Option<String> {
    let families = [("agpl", "AGPL"), ("lgpl", "LGPL"), ("gpl", "GPL"), ("gfdl", "GFDL")];
    let (rest, family) =
        families.iter().find_map(|(word, family)| Some((name.strip_prefix(word)?, *family)))?;
    let (rest, kind) = match rest.strip_prefix("-niv") {
        Some(rest) if family == "GFDL" => (rest, "-no-invariants"),
        _ => (rest, ""),
    };
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    let rest = rest.strip_prefix('v').unwrap_or(rest);
    let later = rest.strip_suffix('+').or_else(|| rest.strip_suffix("-or-later"));
    let version = later.or_else(|| rest.strip_suffix("-only")).unwrap_or(rest);
    let version = match (family, version) {
        // Without a version any will do, says each of them.
        ("GPL", "") => return Some("GPL-1.0-or-later".to_owned()),
        ("LGPL", "") => return Some("LGPL-2.0-or-later".to_owned()),
        ("GPL" | "AGPL", "1" | "1.0") => "1.0",
        ("GPL" | "LGPL", "2" | "2.0") => "2.0",
        ("LGPL", "2.1") => "2.1",
        ("GPL" | "LGPL" | "AGPL", "3" | "3.0") => "3.0",
        ("GFDL", "1.1" | "1.2" | "1.3") => version,
        _ => return None,
    };
    let which = if later.is_some() { "or-later" } else { "only" };
    Some(format!("{family}-{version}{kind}-{which}"))
}
