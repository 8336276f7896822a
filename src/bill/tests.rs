use proptest::prelude::*;

use super::licence::{Licences, of};
use crate::formats::deb::copyright::read;

const HEADER: &str =
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n";

fn declared(licences: &[&str]) -> Licences {
    let files = licences.iter().map(|licence| format!("Files: *\nLicense: {licence}\n\n"));
    of(&read(format!("{HEADER}{}", files.collect::<String>()).as_bytes()))
}

fn expression(synopsis: &str) -> String {
    declared(&[synopsis]).expression.unwrap()
}

#[test]
fn names_of_debian_are_put_in_the_words_of_spdx() {
    for (debian, spdx) in [
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-3", "GPL-3.0-only"),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("LGPL-2.1", "LGPL-2.1-only"),
        ("LGPL", "LGPL-2.0-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("Expat", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("zlib", "Zlib"),
        ("Perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
        ("GPL-3+ with GCC exception", "GPL-3.0-or-later WITH GCC-exception-3.1"),
        ("GPL-3 with GCC-Runtime-Library exception 3.1", "GPL-3.0-only WITH GCC-exception-3.1"),
        ("GPL-2 with Classpath exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("GPL-2 with Linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note"),
    ] {
        assert_eq!(expression(debian), spdx);
    }
}

#[test]
fn an_exception_that_may_be_another_text_keeps_its_name() {
    for debian in [
        "GPL-2+ with GCC exception",
        "GPL with GCC exception",
        "GPL-3+ with GCC exception 2.0",
        "GPL-3+ with GCC Runtime Foo exception",
        "GPL-3+ with font embedding exception",
        "GPL-3+ with Bison exception",
        "GPL-2+ with Bison exception",
    ] {
        let found = expression(debian);
        assert!(!found.contains(" WITH ") && found.contains("LicenseRef-"), "{debian}: {found}");
    }
}

#[test]
fn a_comma_binds_least_and_and_most() {
    for (debian, spdx) in [
        ("GPL-1+ or Artistic", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
        ("GPL-2 or MIT and ISC", "(ISC AND MIT) OR GPL-2.0-only"),
        ("GPL-2 or MIT, and ISC", "(GPL-2.0-only OR MIT) AND ISC"),
        ("GPL-2 and MIT, or ISC", "(GPL-2.0-only AND MIT) OR ISC"),
        ("MIT, ISC", "ISC AND MIT"),
        ("MIT and mit", "MIT"),
    ] {
        let (found, wanted) = (expression(debian), spdx);
        let sorted = |text: &str| {
            let mut words: Vec<char> = text.chars().collect();
            words.sort_unstable();
            words
        };
        assert_eq!(sorted(&found), sorted(wanted), "{debian}: {found}");
        assert_eq!(found.contains('('), wanted.contains('('), "{debian}: {found}");
    }
    assert_eq!(expression("GPL-2 or MIT, and ISC"), "ISC AND (GPL-2.0-only OR MIT)");
}

#[test]
fn licences_of_several_files_hold_together() {
    let all = declared(&["MIT or ISC", "GPL-2", "GPL-2"]);
    assert_eq!(all.expression.unwrap(), "GPL-2.0-only AND (ISC OR MIT)");
}

#[test]
fn what_spdx_does_not_list_keeps_its_text() {
    let text = format!(
        "{HEADER}Files: *\nLicense: GPL-2+ with OpenSSL exception or odd_thing\n\nLicense: odd_thing\n Do as you like.\n"
    );
    let Licences { expression, extracted } = of(&read(text.as_bytes()));
    let expression = expression.unwrap();
    let [exception, odd] = expression.split(" OR ").collect::<Vec<_>>()[..] else { panic!() };
    assert!(exception.starts_with("LicenseRef-GPL-2-with-OpenSSL-exception-"), "{expression}");
    assert_eq!(extracted[exception].text, "GPL-2+ with OpenSSL exception");
    assert!(odd.starts_with("LicenseRef-odd-thing-"), "{expression}");
    assert_eq!(extracted[odd].text, "Do as you like.");
}

#[test]
fn one_name_for_two_texts_is_two_licences() {
    let two = declared(&["public-domain\n One.", "public-domain\n Other."]);
    assert_eq!(two.extracted.len(), 2);
    assert!(two.expression.unwrap().contains(" AND "));
}

#[test]
fn words_for_people_are_one_licence_and_nothing_is_none() {
    let words = of(&read(b"It is free."));
    assert_eq!(words.extracted[words.expression.as_ref().unwrap()].text, "It is free.");
    assert_eq!(of(&read(b"")), Licences::default());
    let sentence = declared(&["Permission to use, copy and modify\n is granted."]);
    let id = sentence.expression.clone().unwrap();
    assert!(sentence.extracted[&id].text.ends_with("modify\nis granted."), "{sentence:?}");
}

/// Every package of this machine. How many there are depends on the machine, so the counts are shown, and only their
/// relations are held.
#[test]
fn real_copyright_files_become_expressions() {
    let (mut all, mut machine, mut listed) = (0, 0, 0);
    for entry in std::fs::read_dir("/usr/share/doc").unwrap() {
        let Ok(bytes) = std::fs::read(entry.unwrap().path().join("copyright")) else { continue };
        let copyright = read(&bytes);
        let Licences { expression, extracted } = of(&copyright);
        let expression = expression.expect("every package says something");
        all += 1;
        if matches!(copyright, crate::formats::deb::copyright::Copyright::Declared(_)) {
            machine += 1;
            listed += usize::from(extracted.is_empty());
        }
        let references =
            expression.split([' ', '(', ')']).filter(|it| it.starts_with("LicenseRef-"));
        for reference in references {
            assert!(!extracted[reference].text.trim().is_empty(), "{reference}");
        }
        assert_eq!(expression.matches('(').count(), expression.matches(')').count());
    }
    let counts = format!("{all} files, {machine} machine-readable, {listed} of them all listed\n");
    std::io::Write::write_all(&mut std::io::stdout(), counts.as_bytes()).unwrap();
    assert!(all > 50 && machine * 2 > all && listed * 4 > machine, "{counts}");
}

proptest! {
    #[test]
    fn every_synopsis_is_an_expression(synopsis in "((MIT|GPL-2\\+|odd|x y|with|é|[()+|/]|,|and|or) ?){0,8}") {
        let Licences { expression, extracted } = declared(&[&synopsis, "ISC"]);
        let expression = expression.unwrap();
        for word in expression.split([' ', '(', ')']).filter(|word| !word.is_empty()) {
            let tame = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
            prop_assert!(word.chars().all(tame), "{} in {}", word, expression);
            prop_assert!(!word.starts_with("LicenseRef-") || extracted.contains_key(word), "{}", word);
        }
    }
}
