use super::SignatureError;

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// A text in OpenPGP's cleartext signature framework (RFC 9580, 7), taken apart but not verified.
///
/// Only what Debian's archives publish is taken: one message from the first byte of the document to the last. So there
/// is no unsigned text that somebody could mistake for signed text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cleartext<'a> {
    /// The lines of the text without dash escapes and the blanks at their ends, which are not signed.
    lines: Vec<&'a str>,
    /// The armored signatures.
    pub(super) signatures: &'a str,
}

impl<'a> Cleartext<'a> {
    /// Takes a document apart.
    pub(super) fn parse(document: &'a str) -> Result<Self, SignatureError> {
        let bad = SignatureError::NotClearsigned;
        if document.contains(['\r', '\0']) {
            return Err(bad("it has carriage returns or NULs"));
        }
        let mut rest = document;
        let mut next = || {
            let (line, after) = rest.split_once('\n')?;
            rest = after;
            Some(line)
        };
        if next() != Some(BEGIN) {
            return Err(bad("it does not begin with a signed message"));
        }
        loop {
            match next() {
                Some("") => break,
                Some(header) if header.starts_with("Hash: ") => (),
                _ => return Err(bad("it has an unknown header")),
            }
        }
        let mut lines = Vec::new();
        loop {
            match next() {
                None => return Err(bad("it has no signature")),
                Some(SIGNATURE) => break,
                Some(line) => lines.push(text(line)?),
            }
        }
        let signatures = document.get(document.len() - rest.len() - SIGNATURE.len() - 1..);
        let signatures = signatures.unwrap_or_default();
        let end = signatures.find(END).ok_or(bad("its signature has no end"))?;
        if signatures.get(end + END.len()..).is_none_or(|after| !matches!(after, "" | "\n")) {
            return Err(bad("something follows its signature"));
        }
        Ok(Self { lines, signatures })
    }

    /// The bytes that the signatures are over: lines end in CR LF, but for the last, which has no end.
    pub(super) fn signed(&self) -> Vec<u8> {
        self.lines.join("\r\n").into_bytes()
    }

    /// The signed text and nothing else, as a text of this system.
    pub(super) fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }
}

fn text(line: &str) -> Result<&str, SignatureError> {
    let line = match line.strip_prefix("- ") {
        Some(line) => line,
        None if line.starts_with('-') => {
            return Err(SignatureError::NotClearsigned("a line begins with a dash"));
        }
        None => line,
    };
    Ok(line.trim_end_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\nHash: SHA512\n\nA: b  \n- - dash\n\
        - -----BEGIN PGP SIGNATURE-----\n\n\tlast\t\n-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn text_is_what_was_signed() {
        let clear = Cleartext::parse(MESSAGE).unwrap();
        assert_eq!(clear.text(), "A: b\n- dash\n-----BEGIN PGP SIGNATURE-----\n\n\tlast\n");
        let signed = "A: b\r\n- dash\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\n\tlast";
        assert_eq!(clear.signed(), signed.as_bytes());
        let armor = "-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n";
        assert_eq!(clear.signatures, armor);
    }

    #[test]
    fn nothing_unsigned_may_stand_around_it() {
        for (from, to) in [
            ("-----BEGIN PGP SIGNED", "x\n-----BEGIN PGP SIGNED"),
            ("-----BEGIN PGP SIGNED", "\n-----BEGIN PGP SIGNED"),
            ("-----END PGP SIGNATURE-----\n", "-----END PGP SIGNATURE-----\nx"),
            ("-----END PGP SIGNATURE-----\n", "-----END PGP SIGNATURE-----\n\n"),
            ("-----END PGP SIGNATURE-----\n", "-----END PGP SIGNATURE-----x\n"),
            ("-----END PGP SIGNATURE-----\n", ""),
            ("Hash: SHA512", "Comment: x"),
            ("Hash: SHA512", "Hash: SHA512 "),
            ("Hash: SHA512\n\n", "Hash: SHA512\n \n"),
            ("- - dash", "- dash\r"),
            ("- - dash", "-dash"),
            ("- - dash", "-----BEGIN PGP SIGNED MESSAGE-----"),
            ("\n-----BEGIN PGP SIGNATURE-----\n\nabcd", "\n-----BEGIN PGP SIGNATURE----- \n\nabcd"),
        ] {
            let changed = MESSAGE.replacen(from, to, 1);
            assert_ne!(changed, MESSAGE, "{from}");
            let parsed = Cleartext::parse(&changed);
            if to == "Hash: SHA512 " {
                assert!(parsed.is_ok(), "the words of a Hash header do not matter");
            } else {
                assert!(parsed.is_err(), "{to:?}: {parsed:?}");
            }
        }
        assert!(Cleartext::parse("").is_err());
    }
}
