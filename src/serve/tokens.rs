use std::hint;

use super::access::{Caller, Right};
use crate::digest::Digest;

/// The shortest token: enough that nobody guesses it.
const SHORTEST: usize = 16;
/// What a token's hash begins with in the file.
const HASHED: &str = "sha256:";

/// Tokens, as a file has them: a line `NAME TOKEN RIGHT` each, where TOKEN may be `sha256:HEX` of it, so that the file is no secret.
/// Empty lines and those that begin with `#` say nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    tokens: Vec<Token>,
    /// Whether only hashes are written down.
    pub(super) hashed: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Token {
    name: String,
    /// Only the hash is kept in memory.
    hash: Digest,
    right: Right,
}

/// A line says no token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) line: usize,
    pub(super) why: &'static str,
}

impl Tokens {
    pub(super) fn parse(text: &str) -> Result<Self, BadLine> {
        let mut all = Self { tokens: Vec::new(), hashed: true };
        for (at, line) in text.lines().enumerate() {
            let bad = |why| BadLine { line: at + 1, why };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [name, token, right] = words[..] else {
                return Err(bad("expected NAME TOKEN RIGHT"));
            };
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
            if !name.bytes().all(plain) || name == "-" {
                return Err(bad("a name is letters, digits, `.`, `_`, `-` and `@`"));
            }
            if all.tokens.iter().any(|token| token.name == name) {
                return Err(bad("two tokens have this name"));
            }
            let hash = match token.strip_prefix(HASHED) {
                Some(hex) => hex.parse().map_err(|_| bad("expected sha256: and 64 digits"))?,
                None if token.len() < SHORTEST => {
                    return Err(bad("a token has at least 16 characters"));
                }
                None => {
                    all.hashed = false;
                    Digest::of(token)
                }
            };
            let right = match right.to_ascii_lowercase().as_str() {
                "read" => Right::Read,
                "write" => Right::Write,
                "admin" => Right::Admin,
                _ => return Err(bad("a right is read, write or admin")),
            };
            all.tokens.push(Token { name: name.to_owned(), hash, right });
        }
        Ok(all)
    }

    /// Whose token it is. How long that takes tells nothing of the tokens: hashes are compared, all of them, and all bytes.
    pub(super) fn find(&self, shown: &str) -> Option<Caller> {
        let hash = Digest::of(shown);
        let mut found = None;
        for token in &self.tokens {
            let pairs = token.hash.as_bytes().iter().zip(hash.as_bytes());
            let differ =
                pairs.fold(0, |differ, (one, other)| hint::black_box(differ | one ^ other));
            if differ == 0 {
                found = Some(Caller::named(&token.name, token.right));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_found_by_itself_and_by_its_hash() {
        let hash = Digest::of("another-long-token");
        let text = format!("# who\n\nci a-rather-long-token WRITE\nann sha256:{hash} admin\n");
        let tokens = Tokens::parse(&text).unwrap();
        assert!(!tokens.hashed);
        let right = |token: &str| {
            let caller = tokens.find(token)?;
            Some((caller.name().to_owned(), caller.right))
        };
        assert_eq!(right("a-rather-long-token"), Some(("ci".to_owned(), Some(Right::Write))));
        assert_eq!(right("another-long-token"), Some(("ann".to_owned(), Some(Right::Admin))));
        assert_eq!(right("a-rather-long-toke"), None);
        assert_eq!(right(&format!("sha256:{hash}")), None);
        assert_eq!(right(""), None);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, line) in [
            ("ci short write", 1),
            ("\nci a-rather-long-token", 2),
            ("ci a-rather-long-token root", 1),
            ("c/i a-rather-long-token read", 1),
            ("- a-rather-long-token read", 1),
            ("ci sha256:abc read", 1),
            ("ci a-rather-long-token read\nci another-long-token read", 2),
        ] {
            assert_eq!(Tokens::parse(text).unwrap_err().line, line, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[ -~\n]{0,80}") {
            let _ = Tokens::parse(&text);
        }
    }
}
