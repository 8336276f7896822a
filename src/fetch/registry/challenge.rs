use std::collections::BTreeMap;

/// One way in which a server lets itself be convinced: a part of `WWW-Authenticate` (RFC 9110, 11.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case: `basic`, `bearer`.
    pub(super) scheme: String,
    /// By name in lower case.
    pub(super) parameters: BTreeMap<String, String>,
}

/// Takes a header apart. What is not understood, such as the bare token of `Negotiate`, is passed over.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',', '=']);
        let (word, after) = token(rest);
        if word.is_empty() {
            let Some(comma) = rest.find(',') else { return challenges };
            rest = rest.get(comma..).unwrap_or_default();
            continue;
        }
        let assigned = after.trim_start_matches([' ', '\t']).strip_prefix('=');
        match (assigned, challenges.last_mut()) {
            (Some(assigned), Some(challenge)) => {
                let (value, after) = value(assigned.trim_start_matches([' ', '\t']));
                // The first one counts: a later one of the same name could only be meant to confuse.
                challenge.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                rest = after;
            }
            (Some(assigned), None) => rest = assigned,
            (None, _) => {
                let scheme = word.to_ascii_lowercase();
                challenges.push(Challenge { scheme, parameters: BTreeMap::new() });
                rest = after;
            }
        }
    }
}

/// The token (RFC 9110, 5.6.2) at the beginning, which may be empty, and what follows it.
fn token(text: &str) -> (&str, &str) {
    let ends = |c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// The token or quoted string (RFC 9110, 5.6.4) at the beginning, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, after) = token(text);
        return (word.to_owned(), after);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Challenge { scheme: scheme.to_owned(), parameters: parameters.collect() }
    }

    #[test]
    fn what_registries_say_is_understood() {
        let bearer = challenge(
            "bearer",
            &[
                ("realm", "https://auth.example.invalid/token"),
                ("service", "registry.example.invalid"),
                ("scope", "repository:team/name:pull,push"),
            ],
        );
        let basic = challenge("basic", &[("realm", "Registry \"one\"")]);
        for (header, expected) in [
            (
                "Bearer realm=\"https://auth.example.invalid/token\",service=\"registry.example.invalid\",\
                 scope=\"repository:team/name:pull,push\"",
                vec![bearer.clone()],
            ),
            (
                "BEARER  Realm = \"https://auth.example.invalid/token\" , service=registry.example.invalid,\
                 scope=\"repository:team/name:pull,push\", basic realm=\"Registry \\\"one\\\"\"",
                vec![bearer, basic.clone()],
            ),
            ("Basic realm=\"Registry \\\"one\\\"\"", vec![basic.clone()]),
            (
                "Negotiate, Basic realm=\"Registry \\\"one\\\"\"",
                vec![challenge("negotiate", &[]), basic],
            ),
            ("Basic realm=\"open", vec![challenge("basic", &[("realm", "open")])]),
            ("realm=x", vec![challenge("x", &[])]),
            ("", vec![]),
            (",, ,", vec![]),
            ("\"Bearer\"", vec![]),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
        let found = parse("Negotiate YWJj/w==, Basic realm=\"a\", realm=\"b\"");
        assert_eq!(found.last(), Some(&challenge("basic", &[("realm", "a")])));
    }

    fn printed(challenges: &[Challenge]) -> String {
        let one = |Challenge { scheme, parameters }: &Challenge| {
            let parameters: Vec<String> = parameters
                .iter()
                .map(|(name, value)| {
                    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                    format!("{name}=\"{value}\"")
                })
                .collect();
            format!("{scheme} {}", parameters.join(","))
        };
        challenges.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(
            challenges in prop::collection::vec(
                (
                    "[a-z][a-z0-9-]{0,8}",
                    prop::collection::btree_map("[a-z][a-z0-9_]{0,8}", "[ -~é]{0,12}", 0..4),
                )
                    .prop_map(|(scheme, parameters)| Challenge { scheme, parameters }),
                0..4,
            )
        ) {
            prop_assert_eq!(parse(&printed(&challenges)), challenges);
        }

        #[test]
        fn no_header_is_too_strange(header in "[ -~é\t]{0,60}|([a-z]{1,3}|[ =,\"\\\\é]){0,40}") {
            let found = parse(&header);
            prop_assert!(found.iter().all(|challenge| !challenge.scheme.is_empty()));
        }
    }
}
