//! The text format of Debian's control files and indexes, deb822(5).

use std::borrow::Cow;

/// The most fields of one paragraph. Debian's longest have about forty.
const FIELDS_MAX: usize = 256;

/// A paragraph: fields with their values in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paragraph<'a> {
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Text that is not in the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Malformed {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl<'a> Paragraph<'a> {
    /// The value of a field, whatever the case of its name.
    ///
    /// Lines after the first are as in the text, with their leading blank; see [`Paragraph::lines`].
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The lines of a field without blanks around them; empty ones are left out. None come if it is missing.
    pub fn lines(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.get(name).unwrap_or_default().lines();
        lines.map(str::trim).filter(|line| !line.is_empty())
    }

    /// All fields in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The same paragraph with text of its own.
    pub fn into_owned(self) -> Paragraph<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        let fields = self.fields.into_iter().map(|(name, value)| (own(name), own(value)));
        Paragraph { fields: fields.collect() }
    }

    fn add_line(&mut self, line: &'a str) -> Result<(), &'static str> {
        let (name, value) = line.split_once(':').ok_or("a field is `Name: value`")?;
        let good = |byte: u8| byte.is_ascii_graphic();
        if name.is_empty() || name.starts_with(['#', '-']) || !name.bytes().all(good) {
            return Err("this is no name of a field");
        }
        if self.get(name).is_some() {
            return Err("the field is there twice");
        }
        if self.fields.len() == FIELDS_MAX {
            return Err("the paragraph has too many fields");
        }
        self.fields.push((name.into(), value.trim_ascii().into()));
        Ok(())
    }
}

/// The paragraphs of a text, parsed as they are asked for; after an error come no more.
#[derive(Debug, Clone)]
pub struct Paragraphs<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Paragraphs<'a> {
    /// Nothing is parsed yet.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, line: 0 }
    }

    /// The number of the last line that was parsed, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    fn parse(&mut self) -> Result<Paragraph<'a>, Malformed> {
        let mut paragraph = Paragraph { fields: Vec::with_capacity(32) };
        // Where the value of the last field begins, so that lines after the first need no copy.
        let mut value = "";
        while !self.rest.is_empty() {
            let line = self.rest.split('\n').next().unwrap_or_default();
            self.line += 1;
            let fault = |what| Malformed { line: self.line, what };
            let here = self.rest;
            self.rest = self.rest.get(line.len() + 1..).unwrap_or_default();
            if line.as_bytes().contains(&b'\r') || line.as_bytes().contains(&0) {
                return Err(fault("it has a carriage return or NUL"));
            }
            if line.starts_with([' ', '\t']) {
                let Some((_, last)) = paragraph.fields.last_mut() else {
                    return Err(fault("a paragraph begins with a continued line"));
                };
                if line.trim_ascii().is_empty() {
                    return Err(fault("a line has only blanks"));
                }
                let length = here.as_ptr().addr() - value.as_ptr().addr() + line.len();
                *last = value.get(..length).unwrap_or_default().trim_ascii_end().into();
            } else if !line.is_empty() {
                paragraph.add_line(line).map_err(fault)?;
                let begin = line.find(':').map_or(line.len(), |colon| colon + 1);
                value = here[begin..].trim_start_matches([' ', '\t']);
            } else if !paragraph.fields.is_empty() {
                break;
            }
        }
        Ok(paragraph)
    }
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Result<Paragraph<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.parse() {
            Ok(paragraph) if paragraph.fields.is_empty() => None,
            Ok(paragraph) => Some(Ok(paragraph)),
            Err(malformed) => {
                self.rest = "";
                Some(Err(malformed))
            }
        }
    }
}

/// The only paragraph of a text.
pub fn single(text: &str) -> Result<Paragraph<'_>, Malformed> {
    let mut paragraphs = Paragraphs::new(text);
    let none = Malformed { line: 1, what: "there is no paragraph" };
    let paragraph = paragraphs.next().ok_or(none)??;
    match paragraphs.next().transpose()? {
        None => Ok(paragraph),
        Some(_) => {
            Err(Malformed { line: paragraphs.line(), what: "there is more than one paragraph" })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\n\nPackage: a\nDescription: short\n  long \n .\n end\nEmpty:\n\n\nPackage:b\nList:\n x\n\ty";

    #[test]
    fn values_keep_their_lines_as_they_are() {
        let all: Vec<_> = Paragraphs::new(TEXT).map(Result::unwrap).collect();
        let fields: Vec<Vec<_>> = all.iter().map(|paragraph| paragraph.iter().collect()).collect();
        let first =
            vec![("Package", "a"), ("Description", "short\n  long \n .\n end"), ("Empty", "")];
        assert_eq!(fields, [first, vec![("Package", "b"), ("List", "\n x\n\ty")]]);
        assert_eq!(all[1].get("package"), Some("b"));
        assert_eq!(all[1].get("Depends"), None);
        assert_eq!(all[1].lines("List").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn malformed_text_is_refused_with_its_line() {
        for (text, line) in [
            (" a", 1),
            ("A: b\nc", 2),
            ("A: b\n\n\nB c: d", 4),
            ("A: b\n \nC: d", 2),
            ("A: b\na: c", 2),
            ("A: b\r\n", 1),
            ("#A: b", 1),
            (": b", 1),
            ("Ä: b", 1),
        ] {
            let error = Paragraphs::new(text).find_map(Result::err);
            assert_eq!(error.map(|error| error.line), Some(line), "{text:?}");
        }
        let long: String = (0..1000).map(|n| format!("F{n}: x\n")).collect();
        assert!(Paragraphs::new(&long).any(|paragraph| paragraph.is_err()));
    }

    #[test]
    fn a_single_paragraph_is_one() {
        assert!(single("A: b\n\n").is_ok());
        assert!(single("").is_err());
        assert!(single("A: b\n\nA: c").is_err());
        assert!(single("A: b\n\nA c").is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "([A-C]:?|[ \t\n:#é]| x){0,60}") {
            for paragraph in Paragraphs::new(&text).flatten() {
                prop_assert!(paragraph.iter().count() > 0);
            }
        }

        #[test]
        fn what_was_written_is_read(fields in prop::collection::btree_map("[A-Z][a-z-]{0,8}", "([a-z][a-z ]{0,8}[a-z](\n [ a-z.]{0,5}[a-z]){0,3})?", 1..8)) {
            let text: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            let read = single(&text).unwrap();
            let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), fields);
        }
    }
}
