//! What the host's apt knows: the mirrors in its sources and the proxy in its configuration.
//!
//! Formats: sources.list(5), apt.conf(5). What we do not understand is passed over, as these files are apt's.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Mirror;

/// The proxies to go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Proxies {
    /// Those that the environment names: `http_proxy`, `https_proxy`, `no_proxy`.
    #[default]
    Environment,
    /// These, whatever the environment says, but for the hosts in `no_proxy`.
    These {
        /// For `http` addresses; none for direct connections.
        http: Option<String>,
        /// For `https` addresses; none for direct connections.
        https: Option<String>,
    },
}

impl Proxies {
    /// No proxy, whatever the environment says.
    pub const NONE: Self = Self::These { http: None, https: None };
}

/// What the host's apt knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apt {
    /// The mirrors in the order in which apt reads them, without those of kinds that we cannot fetch from.
    pub mirrors: Vec<Mirror>,
    /// The proxies that apt is told to use.
    pub proxies: Proxies,
}

impl Apt {
    /// Reads `etc/apt` below `root`, which is `/` but for tests. A file that is not there or not to be read by us is
    /// as good as empty.
    pub fn read(root: &Path) -> Self {
        let etc = root.join("etc/apt");
        let mut addresses = one_line(&text(&etc.join("sources.list")));
        for file in files(&etc.join("sources.list.d")) {
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => addresses.extend(one_line(&text(&file))),
                Some("sources") => addresses.extend(deb822(&text(&file))),
                _ => (),
            }
        }
        let mut mirrors = Vec::new();
        for address in addresses {
            match address.strip_prefix("mirror+file:") {
                None => mirrors.extend(Mirror::parse(&address)),
                Some(list) => {
                    let list = root.join(list.trim_start_matches('/'));
                    mirrors.extend(text(&list).lines().filter_map(list_entry));
                }
            }
        }
        let mut settings = Vec::new();
        for file in files(&etc.join("apt.conf.d")).into_iter().chain([etc.join("apt.conf")]) {
            settings.extend(configuration(&text(&file)));
        }
        Self { mirrors, proxies: proxies(&settings) }
    }
}

fn text(file: &Path) -> String {
    let bytes = fs_err::read(file).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs_err::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut files = list().unwrap_or_default();
    files.sort();
    files
}

/// The addresses in the one-line format: `deb [options] URI suite [component…]`.
fn one_line(text: &str) -> Vec<String> {
    let address = |line: &str| {
        let line = line.split('#').next().unwrap_or_default().trim();
        let rest =
            line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t']))?.trim_start();
        let rest = match rest.strip_prefix('[') {
            None => rest,
            Some(options) => options.split_once(']')?.1,
        };
        rest.split_ascii_whitespace().next().map(str::to_owned)
    };
    text.lines().filter_map(address).collect()
}

/// The addresses in the deb822 format: stanzas with `Types`, `URIs` and perhaps `Enabled: no`.
fn deb822(text: &str) -> Vec<String> {
    let mut addresses = Vec::new();
    let mut stanza: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            addresses.extend(stanza_addresses(&stanza));
            stanza.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    addresses
}

fn stanza_addresses(stanza: &[(String, String)]) -> Vec<String> {
    let field = |name| {
        let found = stanza.iter().rfind(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let off = ["no", "false", "without", "off", "disable", "0"];
    let binary = field("types").split_ascii_whitespace().any(|kind| kind == "deb");
    if !binary || off.contains(&field("enabled").to_ascii_lowercase().as_str()) {
        return Vec::new();
    }
    field("uris").split_ascii_whitespace().map(str::to_owned).collect()
}

/// A line of a mirror list: an address, perhaps with a tab and words that order the list for apt.
fn list_entry(line: &str) -> Option<Mirror> {
    let line = line.split('#').next().unwrap_or_default();
    Mirror::parse(line.split_ascii_whitespace().next()?)
}

/// The settings of a configuration file as (`acquire::http::proxy`, value), in their order.
fn configuration(text: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut scope: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for token in tokens(text) {
        match token {
            Token::Word(word) => words.push(word),
            Token::Open => {
                scope.push(words.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default());
                words.clear();
            }
            Token::Close | Token::End => {
                if let [name, value, ..] = &words[..] {
                    let mut path = scope.clone();
                    path.push(name.to_ascii_lowercase());
                    settings.push((path.join("::"), value.clone()));
                }
                words.clear();
                if token == Token::Close {
                    scope.pop();
                }
            }
        }
    }
    settings
}

#[derive(PartialEq)]
enum Token {
    Word(String),
    Open,
    Close,
    End,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = if rest.starts_with("//") || first == '#' {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            let end = rest[1..].find('"').map_or(rest.len(), |end| end + 1);
            tokens.push(Token::Word(rest[1..end].to_owned()));
            (end + 1).min(rest.len())
        } else if let Some(mark) = mark(first) {
            tokens.push(mark);
            1
        } else {
            let ends = |c: char| c.is_whitespace() || c == '"' || mark(c).is_some();
            let end = rest.find(ends).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            end
        };
        rest = rest[after..].trim_start();
    }
    tokens
}

fn mark(c: char) -> Option<Token> {
    match c {
        '{' => Some(Token::Open),
        '}' => Some(Token::Close),
        ';' => Some(Token::End),
        _ => None,
    }
}

/// As apt has it: the proxy for http serves https too, if there is no other for that.
fn proxies(settings: &[(String, String)]) -> Proxies {
    let setting = |scheme: &str| {
        let name = format!("acquire::{scheme}::proxy");
        let found = settings.iter().rfind(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    let (http, https) = (setting("http"), setting("https"));
    if http.is_none() && https.is_none() {
        return Proxies::Environment;
    }
    let direct = |value: &String| !value.eq_ignore_ascii_case("direct");
    Proxies::These { https: https.or(http.clone()).filter(direct), http: http.filter(direct) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_sources_give_their_addresses() {
        let text = "# deb http://comment.example.invalid/debian x\n\
            deb http://a.example.invalid/debian bookworm main # why\n\
            deb-src http://source.example.invalid/debian bookworm main\n\
            \tdeb\t[arch=amd64 signed-by=/usr/share/keyrings/a b.gpg]  https://b.example.invalid/debian/ x y\n\
            deb [ trusted=yes ] cdrom:[Debian]/ bookworm main\n\
            debian http://no.example.invalid/debian x\n";
        assert_eq!(
            one_line(text),
            [
                "http://a.example.invalid/debian",
                "https://b.example.invalid/debian/",
                "cdrom:[Debian]/"
            ]
        );
    }

    #[test]
    fn deb822_sources_give_their_addresses() {
        let text = "Types: deb deb-src\nURIs: http://a.example.invalid/debian\n http://b.example.invalid/debian\n\
            # between\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n\n\n\
            Enabled: no\nTypes: deb\nURIs: http://off.example.invalid/debian\n\n\
            types: deb-src\nuris: http://source.example.invalid/debian\n\n\
            Types: deb\nEnabled: yes\nURIs: http://c.example.invalid/debian-security\n";
        let expected = [
            "http://a.example.invalid/debian",
            "http://b.example.invalid/debian",
            "http://c.example.invalid/debian-security",
        ];
        assert_eq!(deb822(text), expected);
    }

    #[test]
    fn a_proxy_is_found_in_any_spelling() {
        let found = |text| proxies(&configuration(text));
        let address = "http://proxy.example.invalid:3142".to_owned();
        let both = Proxies::These { http: Some(address.clone()), https: Some(address.clone()) };
        for text in [
            "Acquire::http::Proxy \"http://proxy.example.invalid:3142\";",
            "// one\n# two\n/* three { */ Acquire { HTTP { Proxy \"http://proxy.example.invalid:3142\"; }; };",
            "Acquire::http { Pipeline-Depth 0; Proxy http://proxy.example.invalid:3142; }",
            "Acquire::http::Proxy \"http://old.example.invalid\";\n\
             Acquire::http::Proxy \"http://proxy.example.invalid:3142\";",
        ] {
            assert_eq!(found(text), both, "{text}");
        }
        let split = "Acquire::http::Proxy \"DIRECT\"; Acquire::https::Proxy \"http://proxy.example.invalid:3142\";";
        assert_eq!(found(split), Proxies::These { http: None, https: Some(address) });
        assert_eq!(found("Acquire::http::Proxy \"DIRECT\";"), Proxies::NONE);
        for text in [
            "Acquire::ftp::Proxy \"http://proxy.example.invalid\";",
            "Acquire::http::Proxy::one.example.invalid \"DIRECT\";",
            "Acquire::http::Proxy \"\";",
        ] {
            assert_eq!(found(text), Proxies::Environment, "{text}");
        }
    }

    #[test]
    fn broken_configuration_is_passed_over() {
        for text in
            ["\"", "{", "}", "}}};;", "a \"b", "/*", "a { b", "é \"é", "Acquire::http::Proxy"]
        {
            assert_eq!(proxies(&configuration(text)), Proxies::default(), "{text}");
        }
    }

    #[test]
    fn the_files_of_a_host_are_read_in_order() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = root.path().join("etc/apt").join(name);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        };
        assert_eq!(Apt::read(root.path()), Apt::default());
        write(
            "sources.list",
            "deb file:/srv/debian x main\ndeb ftp://old.example.invalid/debian x main\n",
        );
        write(
            "sources.list.d/b.sources",
            "Types: deb\nURIs: mirror+file:/etc/apt/mirrors/debian.list\n",
        );
        write("sources.list.d/a.list", "deb http://a.example.invalid/debian x main\n");
        write("sources.list.d/c.list.save", "deb http://saved.example.invalid/debian x main\n");
        write("mirrors/debian.list", "http://c.example.invalid/debian\tpriority:1\n\n# no\n");
        write("apt.conf.d/90proxy", "Acquire::https::Proxy \"http://p.example.invalid\";");
        let apt = Apt::read(root.path());
        let shown: Vec<String> = apt.mirrors.iter().map(Mirror::to_string).collect();
        assert_eq!(
            shown,
            [
                "file:/srv/debian",
                "http://a.example.invalid/debian",
                "http://c.example.invalid/debian"
            ]
        );
        let https = Some("http://p.example.invalid".to_owned());
        assert_eq!(apt.proxies, Proxies::These { http: None, https });
    }
}
