//! Versions and relationships between packages (Debian policy, chapters 5.6.12 and 7).

use std::{cmp::Ordering, fmt};

pub use debversion::Version;

/// The longest version and name that are taken, in bytes; Debian's are far shorter.
const WORD_MAX: usize = 256;

/// Packages of which any one will do: `a | b`.
pub type Alternatives = Vec<Relation>;

/// One package in a relationship field: `name:qualifier (>= version) [amd64 !i386] <!nocheck>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The name of a package, real or virtual.
    pub package: Box<str>,
    /// What stands after the colon: `any`, `native` or an architecture.
    pub qualifier: Option<Box<str>>,
    /// Which versions will do; any if there is none.
    pub constraint: Option<Constraint>,
    /// Where it counts at all; only source packages have these.
    pub restrictions: Option<Box<Restrictions>>,
}

/// Which versions will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// How the version must compare.
    pub operator: Operator,
    /// To what.
    pub version: Version,
}

/// How versions compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`, and `<` of old
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`, and `>` of old
    LaterOrEqual,
    /// `>>`
    Later,
}

/// Where a relationship counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restrictions {
    /// Architectures, with `!` before those where it does not count.
    pub architectures: Vec<Box<str>>,
    /// Build profiles: any one of the lists, all of its words.
    pub profiles: Vec<Vec<Box<str>>>,
}

/// Text that is no version or relationship.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}`: {what}")]
pub struct Malformed {
    /// The text.
    pub text: String,
    /// What is wrong.
    pub what: &'static str,
}

impl Relation {
    /// Whether this version of the package will do.
    pub fn admits(&self, version: &Version) -> bool {
        self.constraint.as_ref().is_none_or(|constraint| constraint.admits(version))
    }
}

impl Constraint {
    /// Whether this version will do.
    pub fn admits(&self, version: &Version) -> bool {
        let order = version.cmp(&self.version);
        match self.operator {
            Operator::Earlier => order == Ordering::Less,
            Operator::EarlierOrEqual => order != Ordering::Greater,
            Operator::Equal => order == Ordering::Equal,
            Operator::LaterOrEqual => order != Ordering::Less,
            Operator::Later => order == Ordering::Greater,
        }
    }
}

/// Parses `[EPOCH:]UPSTREAM[-REVISION]` (deb-version(7)).
///
/// The comparison is that of `debversion`; parsing is done here since theirs is a regular expression, too slow for
/// the half million versions of an index.
pub fn version(text: &str) -> Result<Version, Malformed> {
    let bad = |what| Malformed { text: text.chars().take(WORD_MAX).collect(), what };
    if text.len() > WORD_MAX {
        return Err(bad("the version is too long"));
    }
    let (epoch, rest) = match text.split_once(':') {
        None => (None, text),
        Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => {
            (Some(epoch.parse().map_err(|_| bad("the epoch of the version is absurd"))?), rest)
        }
        Some(_) => return Err(bad("the epoch of the version is no number")),
    };
    let (upstream, revision) = match rest.rsplit_once('-') {
        Some((upstream, revision)) => (upstream, Some(revision)),
        None => (rest, None),
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".+~".contains(&byte);
    if upstream.is_empty() || revision == Some("") {
        return Err(bad("a part of the version is empty"));
    }
    if !upstream.bytes().all(|byte| good(byte) || b"-:".contains(&byte))
        || !revision.unwrap_or_default().bytes().all(good)
    {
        return Err(bad("the version has a character that no version has"));
    }
    let debian_revision = revision.map(str::to_owned);
    Ok(Version { epoch, upstream_version: upstream.to_owned(), debian_revision })
}

/// Whether `name` is the name of a package: lower-case letters, digits, `+`, `-`, `.`, first a letter or digit.
pub fn is_package_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.bytes().next().is_some_and(good)
        && name.len() <= WORD_MAX
        && name.bytes().all(|byte| good(byte) || b"+-.".contains(&byte))
}

/// Parses a relationship field: groups between commas, all of which count, of alternatives between bars.
pub fn relations(field: &str) -> Result<Vec<Alternatives>, Malformed> {
    let groups = field.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups.map(|group| group.split('|').map(relation).collect()).collect()
}

fn relation(text: &str) -> Result<Relation, Malformed> {
    let text = text.trim();
    let bad = |what| Malformed { text: text.to_owned(), what };
    let end = text.find(|c: char| c.is_whitespace() || "([<".contains(c)).unwrap_or(text.len());
    let (head, mut rest) = text.split_at(end);
    let (package, qualifier) = match head.split_once(':') {
        Some((package, qualifier)) => (package, Some(qualifier)),
        None => (head, None),
    };
    if !is_package_name(package) || qualifier.is_some_and(|qualifier| !is_architecture(qualifier)) {
        return Err(bad("this is no name of a package"));
    }
    let mut constraint = None;
    let mut restrictions = Restrictions::default();
    loop {
        rest = rest.trim_start();
        let Some(open) = rest.chars().next() else { break };
        let close = match open {
            '(' => ')',
            '[' => ']',
            '<' => '>',
            _ => return Err(bad("something follows that has no meaning here")),
        };
        let end = rest.find(close).ok_or_else(|| bad("a bracket is not closed"))?;
        let inner = rest[1..end].trim();
        rest = &rest[end + 1..];
        let words = || inner.split_whitespace().map(Box::from).collect::<Vec<_>>();
        match open {
            '(' if constraint.is_none() => constraint = Some(parse_constraint(inner)?),
            '[' if restrictions.architectures.is_empty() => restrictions.architectures = words(),
            '<' => restrictions.profiles.push(words()),
            _ => return Err(bad("a restriction is there twice")),
        }
    }
    Ok(Relation {
        package: package.into(),
        qualifier: qualifier.map(Box::from),
        constraint,
        restrictions: (restrictions != Restrictions::default()).then(|| Box::new(restrictions)),
    })
}

fn parse_constraint(text: &str) -> Result<Constraint, Malformed> {
    let end = text.find(|c| !"<>=".contains(c)).unwrap_or(text.len());
    let operator = match &text[..end] {
        "<<" => Operator::Earlier,
        "<=" | "<" => Operator::EarlierOrEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::LaterOrEqual,
        ">>" => Operator::Later,
        _ => return Err(Malformed { text: text.to_owned(), what: "this is no comparison" }),
    };
    Ok(Constraint { operator, version: version(text[end..].trim())? })
}

fn is_architecture(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= WORD_MAX && text.bytes().all(good)
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.package)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some(Constraint { operator, version }) = &self.constraint {
            write!(f, " ({operator} {version})")?;
        }
        let Some(restrictions) = &self.restrictions else { return Ok(()) };
        if !restrictions.architectures.is_empty() {
            write!(f, " [{}]", restrictions.architectures.join(" "))?;
        }
        restrictions.profiles.iter().try_for_each(|words| write!(f, " <{}>", words.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelled(field: &str) -> Result<String, Malformed> {
        let group = |group: &Alternatives| {
            group.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
        };
        Ok(relations(field)?.iter().map(group).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn relationships_are_read_in_all_their_parts() {
        for (field, canonical) in [
            ("", ""),
            ("a", "a"),
            ("a,b |c,\n d", "a, b | c, d"),
            ("a(>=1:2.0-1)", "a (>= 1:2.0-1)"),
            ("a (< 1), b (> 2)", "a (<= 1), b (>= 2)"),
            (
                "a:any ( << 2~ ) [amd64  !i386] <!nocheck x> <y>",
                "a:any (<< 2~) [amd64 !i386] <!nocheck x> <y>",
            ),
            ("g++ (= 4:12.2.0-3), libstdc++6,", "g++ (= 4:12.2.0-3), libstdc++6"),
        ] {
            assert_eq!(spelled(field).as_deref(), Ok(canonical));
        }
        for bad in [
            "a |",
            "A",
            "a b",
            "a (1)",
            "a (>= )",
            "a (>= 1",
            "a (>= 1) (>= 2)",
            "a (== 1)",
            "a:",
            "(>= 1)",
            "a (>= 1_2)",
            "a >= 1",
        ] {
            assert!(relations(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_constraint_admits_the_versions_that_compare_so() {
        let admitted = |operator: &str| {
            let relation = relations(&format!("a ({operator} 1.0)")).unwrap().remove(0).remove(0);
            ["0.9", "1.0", "1.0-0", "1.0-1", "1:0", "1.0~"]
                .map(|text| relation.admits(&version(text).unwrap()))
        };
        assert_eq!(admitted("<<"), [true, false, false, false, false, true]);
        assert_eq!(admitted("<="), [true, true, true, false, false, true]);
        assert_eq!(admitted("="), [false, true, true, false, false, false]);
        assert_eq!(admitted(">="), [false, true, true, true, true, false]);
        assert_eq!(admitted(">>"), [false, false, false, true, true, false]);
    }

    #[test]
    fn versions_have_an_epoch_and_a_revision() {
        for good in ["1", "1:2:3-4-5", "0~rc1+dfsg-1~deb12u1+b1", "2.0-1", "a"] {
            assert_eq!(version(good).map(|version| version.to_string()).as_deref(), Ok(good));
        }
        let long = "1".repeat(300);
        for bad in
            ["", ":1", "a:1", "1:", "-1", "1-", "1 2", "1_2", "99999999999:1", "1-2:3", "é", &long]
        {
            assert!(version(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_stable(field in "([a-c1]|[ ,|:()<>=!~é-]|\\[|\\]){0,40}") {
            if let Ok(canonical) = spelled(&field) {
                prop_assert_eq!(spelled(&canonical), Ok(canonical.clone()));
            }
        }

        #[test]
        fn a_version_is_read_as_debversion_reads_it(text in "([0-9]{1,2}:)?[a-z0-9.+~-]{1,12}") {
            let theirs = text.parse::<Version>().map(|v| (v.epoch, v.upstream_version, v.debian_revision));
            let ours = version(&text).map(|v| (v.epoch, v.upstream_version, v.debian_revision));
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
