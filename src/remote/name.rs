use std::{fmt, str::FromStr};

/// Longest name in bytes: with room to spare in a file's path and in an object's key.
const LONGEST: usize = 255;

/// What something is called: parts of lower-case letters, digits, `.`, `-` and `_`, with `/` between them. No part begins
/// with a dot, so that a name never leads out of the directory, bucket or repository that it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// The text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no name of something that is kept", .0.escape_debug())]
pub struct BadName(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether it begins with all parts of another one.
    pub fn is_under(&self, other: &Self) -> bool {
        let rest = self.0.strip_prefix(&other.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        let good =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
        if text.len() <= LONGEST && text.split('/').all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName(text.to_owned()))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out() {
        for (text, good) in [
            ("packs/ab/abcd", true),
            ("a-b_c.d", true),
            ("", false),
            ("/a", false),
            ("a/", false),
            ("a//b", false),
            ("../a", false),
            ("a/.hidden", false),
            ("A", false),
            ("a b", false),
            ("a\\b", false),
        ] {
            assert_eq!(text.parse::<Name>().is_ok(), good, "{text}");
        }
        assert!("a".repeat(256).parse::<Name>().is_err());
    }

    #[test]
    fn a_name_is_under_its_first_parts() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        assert!(name("packs/ab/c").is_under(&name("packs/ab")));
        assert!(name("packs").is_under(&name("packs")));
        assert!(!name("packs2/ab").is_under(&name("packs")));
    }
}
