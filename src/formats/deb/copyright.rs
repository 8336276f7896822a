//! What a package says of its licences, `usr/share/doc/PACKAGE/copyright` (policy, 12.5).
//!
//! Two packages in three have it in the machine-readable form (copyright-format 1.0, once called DEP-5), which is deb822
//! on paper and in practice something looser: blanks for an empty line, paragraphs torn apart, carriage returns,
//! bytes of an older encoding. All of that is read as it is meant; nothing is refused. What has no such form stays text.

use std::collections::BTreeMap;

/// A copyright file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copyright {
    /// In the machine-readable form.
    Declared(Declared),
    /// Words for people.
    Text(String),
}

/// What a machine-readable file declares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    /// The licences of files, each once, in the order of the text.
    ///
    /// Where no paragraph is about files, those of the header, or else those that stand alone.
    pub licences: Vec<Licence>,
    /// The texts of licences by their names in lower case, from whichever paragraph had one first.
    pub texts: BTreeMap<String, String>,
}

/// A field `License`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Licence {
    /// Its first line, blanks made single: `GPL-2+ or Artistic`. May be empty.
    pub synopsis: String,
    /// What follows, without the leading blanks and dots of the form. Empty if it stands elsewhere.
    pub text: String,
}

/// Reads a copyright file. Bytes that are not UTF-8 are taken as signs that cannot be read.
pub fn read(bytes: &[u8]) -> Copyright {
    let text = String::from_utf8_lossy(bytes).replace('\r', "");
    let paragraphs = paragraphs(&text);
    let formatted = |paragraph: &Paragraph| {
        paragraph.iter().any(|(name, _)| name == "format" || name == "format-specification")
    };
    if !paragraphs.first().is_some_and(formatted) {
        return Copyright::Text(text.trim().to_owned());
    }
    let (mut files, mut header, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    let mut texts = BTreeMap::new();
    for (index, paragraph) in paragraphs.iter().enumerate() {
        let about_files = paragraph.iter().any(|(name, _)| name == "files");
        for (_, value) in paragraph.iter().filter(|(name, _)| name == "license") {
            let licence = licence(value);
            if !licence.synopsis.is_empty() && !licence.text.is_empty() {
                let name = licence.synopsis.to_lowercase();
                texts.entry(name).or_insert_with(|| licence.text.clone());
            }
            let list = match (about_files, index) {
                (true, _) => &mut files,
                (false, 0) => &mut header,
                (false, _) => &mut alone,
            };
            let empty = licence.synopsis.is_empty() && licence.text.is_empty();
            if !empty && !list.contains(&licence) {
                list.push(licence);
            }
        }
    }
    match [files, header, alone].into_iter().find(|list| !list.is_empty()) {
        Some(licences) => Copyright::Declared(Declared { licences, texts }),
        None => Copyright::Text(text.trim().to_owned()),
    }
}

/// Fields by their names in lower case, with their lines; one that comes twice is there twice.
type Paragraph<'a> = Vec<(String, Vec<&'a str>)>;

fn paragraphs(text: &str) -> Vec<Paragraph<'_>> {
    let mut paragraphs: Vec<Paragraph<'_>> = Vec::new();
    let mut apart = true;
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() {
            apart = true;
        } else if line.starts_with('#') {
            // No comment is allowed, but some have them.
        } else if let Some((name, value)) = field(line) {
            if apart {
                paragraphs.push(Vec::new());
            }
            apart = false;
            if let Some(paragraph) = paragraphs.last_mut() {
                paragraph.push((name.to_ascii_lowercase(), vec![value.trim()]));
            }
        } else if let Some((_, lines)) = paragraphs.last_mut().and_then(|it| it.last_mut()) {
            // After an empty line too: what begins with a blank can only be the rest of a text that was torn apart.
            if std::mem::take(&mut apart) {
                lines.push("");
            }
            lines.push(if bare == "." { "" } else { unindented(line) });
        }
    }
    paragraphs
}

/// The name and value of a line that begins a field.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (!name.is_empty() && name.bytes().all(good)).then_some((name, value))
}

/// A continued line without the one blank that makes it so.
fn unindented(line: &str) -> &str {
    line.strip_prefix([' ', '\t']).unwrap_or(line).trim_end()
}

fn licence(lines: &[&str]) -> Licence {
    let (first, rest) = lines.split_first().map_or(("", lines), |(first, rest)| (*first, rest));
    let synopsis = first.split_whitespace().collect::<Vec<_>>().join(" ");
    Licence { synopsis, text: rest.join("\n").trim_matches('\n').trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn declared(text: &str) -> Declared {
        match read(text.as_bytes()) {
            Copyright::Declared(declared) => declared,
            Copyright::Text(text) => panic!("only text: {text}"),
        }
    }

    const HEADER: &str =
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";

    #[test]
    fn licences_of_files_come_once_and_texts_by_name() {
        let text = format!(
            "{HEADER}License: whole\n\nFiles: *\nLicense: GPL-2+  or\tArtistic\n\nFiles: a\nLicense: GPL-2+ or Artistic\n\n\
             Files: b\nLicense: own\n Its words.\n .\n  More.\n\nLicense: GPL-2+\n The GPL.\n"
        );
        let Declared { licences, texts } = declared(&text);
        let synopses: Vec<&str> = licences.iter().map(|it| it.synopsis.as_str()).collect();
        assert_eq!(synopses, ["GPL-2+ or Artistic", "own"]);
        assert_eq!(licences[1].text, "Its words.\n\n More.");
        assert_eq!(texts["gpl-2+"], "The GPL.");
        assert_eq!(texts["own"], licences[1].text);
    }

    #[test]
    fn without_files_the_header_counts_and_without_it_what_stands_alone() {
        let alone = format!("{HEADER}\nLicense: ISC\n Words.\n");
        assert_eq!(declared(&alone).licences[0].synopsis, "ISC");
        let header = format!("{HEADER}License: Expat\n\nLicense: ISC\n Words.\n");
        assert_eq!(declared(&header).licences[0].synopsis, "Expat");
    }

    #[test]
    fn what_authors_do_wrong_is_read_as_they_meant_it() {
        let torn = format!(
            "{HEADER}\r\nFiles: *\r\nLicense: X\r\n one\r\n  \r\n two\r\n\r\n three\r\n# no\r\nlost\r\n"
        );
        assert_eq!(declared(&torn).licences[0].text, "one\n\ntwo\n\nthree\nlost");
        let mut latin = HEADER.as_bytes().to_vec();
        latin.extend(b"Files: *\nCopyright: Andr\xe9\nLicense: ISC\n");
        assert!(matches!(read(&latin), Copyright::Declared(_)));
    }

    #[test]
    fn words_for_people_stay_words() {
        let text = "This package was put together by hand.\n\nLicense: free\n";
        assert_eq!(read(text.as_bytes()), Copyright::Text(text.trim().to_owned()));
        assert_eq!(read(HEADER.as_bytes()), Copyright::Text(HEADER.trim().to_owned()));
        assert_eq!(read(b" \n"), Copyright::Text(String::new()));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes);
        }

        #[test]
        fn nearly_right_files_never_lose_a_named_licence(lines in prop::collection::vec("(Files|License|Comment): [a-zA-Z]{1,3}|| \\.| [a-z:]{1,5}|\t", 0..20)) {
            let text = format!("{HEADER}{}\n", lines.join("\n"));
            let wanted = lines.iter().any(|line| line.starts_with("License: "));
            prop_assert_eq!(matches!(read(text.as_bytes()), Copyright::Declared(_)), wanted);
        }
    }
}
