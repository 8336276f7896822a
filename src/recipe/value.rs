use toml::de::DeValue;

use super::{Architecture, Library, Name, Source, Suite};
use crate::path::GuestPath;

/// What is wrong with a value, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl From<&str> for Wrong {
    fn from(message: &str) -> Self {
        Self { message: message.to_owned(), hint: None }
    }
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self { message, hint: None }
    }
}

impl Wrong {
    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A value of one type stands where another belongs.
    pub(super) fn kind(expected: &str, found: &DeValue<'_>) -> Self {
        let found = match found {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a decimal number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        format!("this must be {expected}, not {found}").into()
    }

    /// `name` is none of `known`: the nearest of them is the hint, or all if they are few.
    pub(super) fn unknown<'n>(
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> Self {
        let wrong = Self::from(format!("unknown {what} `{}`", name.escape_debug()));
        if let Some(nearest) = nearest(name, known.clone()) {
            return wrong.with_hint(format!("did you mean `{nearest}`?"));
        }
        let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
        match known.len() {
            0 => wrong,
            1..=24 => wrong.with_hint(format!("known are {}", known.join(", "))),
            _ => wrong,
        }
    }
}

/// The name most like `name`, if one is near enough to be meant.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let length = name.chars().count();
    let allowed = (length / 3).max(1).min(length.saturating_sub(1));
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

pub(super) fn text(value: &DeValue<'_>) -> Result<String, Wrong> {
    match value.as_str() {
        Some(text) if text.contains('\0') => Err("a NUL character cannot stand here".into()),
        Some(text) => Ok(text.to_owned()),
        None => Err(Wrong::kind("a string", value)),
    }
}

/// Text without line breaks and other control characters.
pub(super) fn line(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text = text(value)?;
    if text.chars().any(char::is_control) {
        return Err("this must be a single line".into());
    }
    Ok(text)
}

pub(super) fn integer(value: &DeValue<'_>) -> Result<i64, Wrong> {
    let DeValue::Integer(digits) = value else { return Err(Wrong::kind("an integer", value)) };
    i64::from_str_radix(digits.as_str(), digits.radix())
        .map_err(|_| "this number is too large".into())
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Wrong> {
    match value {
        DeValue::Boolean(yes) => Ok(*yes),
        _ => Err(Wrong::kind("true or false", value)),
    }
}

/// A list of strings, such as the words of a command line.
pub(super) fn words(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let DeValue::Array(words) = value else {
        return Err(Wrong::kind("a list of strings", value));
    };
    words.iter().map(|word| text(word.get_ref())).collect()
}

/// A TCP port.
pub(super) fn port(value: &DeValue<'_>) -> Result<u16, Wrong> {
    count(value, u32::from(u16::MAX))
        .and_then(|port| u16::try_from(port).map_err(|_| Wrong::from("a port is at most 65535")))
}

/// An integer from 0 to `most`.
pub(super) fn number(value: &DeValue<'_>, most: u32) -> Result<u32, Wrong> {
    let number = integer(value)?;
    u32::try_from(number)
        .ok()
        .filter(|number| *number <= most)
        .ok_or_else(|| format!("this must be a number from 0 to {most}").into())
}

/// An integer from 1 to `most`.
pub(super) fn count(value: &DeValue<'_>, most: u32) -> Result<u32, Wrong> {
    match number(value, most) {
        Ok(number) if number > 0 => Ok(number),
        Err(wrong) if !matches!(value, DeValue::Integer(_)) => Err(wrong),
        Ok(_) | Err(_) => Err(format!("this must be a number from 1 to {most}").into()),
    }
}

/// A number of users or groups. The highest is what system calls take for "leave as it is".
pub(super) fn id(value: &DeValue<'_>) -> Result<u32, Wrong> {
    number(value, u32::MAX - 1)
}

pub(super) fn name(value: &DeValue<'_>) -> Result<Name, Wrong> {
    text(value)?.parse().map_err(|wrong: super::NotAName| wrong.to_string().into())
}

/// An absolute path in the guest.
pub(super) fn path(value: &DeValue<'_>) -> Result<GuestPath, Wrong> {
    path_key(&text(value)?)
}

/// As [`path`], for keys.
pub(super) fn path_key(text: &str) -> Result<GuestPath, Wrong> {
    if !text.starts_with('/') {
        let wrong = Wrong::from(format!("`{}` is not an absolute path", text.escape_debug()));
        return Err(wrong.with_hint(format!("write `/{}`", text.escape_debug())));
    }
    GuestPath::lenient(text).map_err(|bad| bad.to_string().into())
}

/// As [`path_key`], for things that cannot be the root itself.
pub(super) fn path_below(text: &str) -> Result<GuestPath, Wrong> {
    let path = path_key(text)?;
    if path.is_root() { Err("the root itself cannot stand here".into()) } else { Ok(path) }
}

pub(super) fn link_target(value: &DeValue<'_>) -> Result<String, Wrong> {
    let target = text(value)?;
    match target.len() {
        1..=4095 => Ok(target),
        _ => Err("the target of a link has 1 to 4095 bytes".into()),
    }
}

/// A size in bytes: an integer, or digits and one of `K`, `M`, `G`, `T` for the powers of 1024.
pub(super) fn size(value: &DeValue<'_>) -> Result<u64, Wrong> {
    if let DeValue::Integer(_) = value {
        return u64::try_from(integer(value)?).map_err(|_| "a size is not negative".into());
    }
    let text = value.as_str().ok_or_else(|| Wrong::kind("a size such as \"512M\"", value))?;
    let (digits, unit) = text.split_at(text.trim_end_matches(|c: char| !c.is_ascii_digit()).len());
    let shift = match unit {
        "" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        "T" => Some(40),
        _ => None,
    };
    let wrong = || {
        let wrong = Wrong::from(format!("`{}` is not a size", text.escape_debug()));
        wrong.with_hint("write bytes, or a whole number with K, M, G or T, such as \"512M\"")
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = 1 << shift.ok_or_else(wrong)?;
    number.checked_mul(unit).ok_or_else(|| "this size is too large".into())
}

/// A journal's size, or false for none.
pub(super) fn journal(value: &DeValue<'_>) -> Result<Option<u64>, Wrong> {
    match value {
        DeValue::Boolean(false) => Ok(None),
        DeValue::Boolean(true) => {
            Err(Wrong::from("a journal needs a size").with_hint("write a size such as \"4M\""))
        }
        _ => size(value).map(Some),
    }
}

/// A time span in seconds: an integer, or digits and `s`, `m` or `h`.
pub(super) fn duration(value: &DeValue<'_>) -> Result<u64, Wrong> {
    let wrong = || Wrong::from("this is not a time span").with_hint("write such as \"120s\"");
    if let DeValue::Integer(_) = value {
        return u64::try_from(integer(value)?).ok().filter(|n| *n > 0).ok_or_else(wrong);
    }
    let text = value.as_str().ok_or_else(|| Wrong::kind("a time span such as \"120s\"", value))?;
    let (digits, unit) = text.split_at(text.trim_end_matches(|c: char| !c.is_ascii_digit()).len());
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|n| *n > 0).ok_or_else(wrong)
}

/// Permission bits as a string of octal digits. An integer would invite the decimal 755.
pub(super) fn mode(value: &DeValue<'_>) -> Result<u16, Wrong> {
    let hint = "write octal digits in quotes, such as \"0644\"";
    let text = value
        .as_str()
        .ok_or_else(|| Wrong::kind("a string of octal digits", value).with_hint(hint))?;
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    match u16::from_str_radix(text, 8) {
        Ok(mode) if octal => Ok(mode),
        _ => Err(Wrong::from(format!("`{}` is not a mode", text.escape_debug())).with_hint(hint)),
    }
}

/// Seconds since 1970 as an integer, or a date, which without an offset is UTC.
pub(super) fn epoch(value: &DeValue<'_>) -> Result<i64, Wrong> {
    let DeValue::Datetime(datetime) = value else { return integer(value) };
    let date = datetime.date.ok_or("a time without a date is no point in time")?;
    let time = datetime.time.map_or(0, |time| {
        i64::from(time.hour) * 3600
            + i64::from(time.minute) * 60
            + i64::from(time.second.unwrap_or(0))
    });
    let offset = match datetime.offset {
        Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes) * 60,
        Some(toml::value::Offset::Z) | None => 0,
    };
    Ok(days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day)) * 86_400
        + time
        - offset)
}

/// Days in the proleptic Gregorian calendar. Years begin in March here, so that the leap day is the last of a year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 306 + 5) / 10
        + day
        - 1
        - 719_468
}

pub(super) fn architecture(value: &DeValue<'_>) -> Result<Architecture, Wrong> {
    let word = text(value)?;
    let known = Architecture::ALL.map(Architecture::word);
    Architecture::from_word(&word)
        .ok_or_else(|| Wrong::unknown("architecture", &word, known.into_iter()))
}

/// `archive suite component…`, as in `debian bookworm main`.
pub(super) fn suite(value: &DeValue<'_>) -> Result<Suite, Wrong> {
    let line = text(value)?;
    Suite::parse(&line).ok_or_else(|| {
        Wrong::from(format!("`{}` does not name a suite", line.escape_debug())).with_hint(
            "write archive, suite and components, such as \"debian bookworm main\"; \
             which server holds an archive is configuration",
        )
    })
}

pub(super) fn package(value: &DeValue<'_>) -> Result<String, Wrong> {
    let name = text(value)?;
    if is_package_name(&name) {
        Ok(name)
    } else {
        Err(format!("`{}` is not a Debian package's name", name.escape_debug()).into())
    }
}

/// Whether this can be a Debian package's name (Debian Policy 5.6.1): at least two of lower-case letters, digits, `+`,
/// `-` and `.`, a letter or digit first.
pub fn is_package_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() >= 2
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || b"+-.".contains(&byte))
}

/// The name of an environment variable.
pub(super) fn variable(name: &str) -> Result<String, Wrong> {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let good = name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit());
    match name {
        "out" => Err("`out` is where the output goes".into()),
        _ if good => Ok(name.to_owned()),
        _ => Err(format!("`{}` is not the name of a variable", name.escape_debug()).into()),
    }
}

/// The name of a user or group.
pub(super) fn account(name: &str) -> Result<String, Wrong> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let good = name.len() <= 32
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit() || byte == b'-');
    match name {
        "root" => Err("`root` is always there".into()),
        _ if good => Ok(name.to_owned()),
        _ => Err(format!("`{}` is not the name of a user or group", name.escape_debug()).into()),
    }
}

/// A field of `/etc/passwd`.
pub(super) fn passwd_field(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text = line(value)?;
    if text.contains(':') { Err("a colon cannot stand here".into()) } else { Ok(text) }
}

/// A Kconfig symbol with its prefix.
pub(super) fn symbol(name: &str) -> Result<String, Wrong> {
    let wrong = Wrong::from(format!("`{}` is not a kernel symbol", name.escape_debug()));
    match name.strip_prefix("CONFIG_") {
        Some(rest)
            if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') =>
        {
            Ok(name.to_owned())
        }
        Some(_) => Err(wrong),
        None => Err(wrong.with_hint(format!("write `CONFIG_{}`", name.escape_debug()))),
    }
}

/// A symbol's value as Kconfig writes it.
pub(super) fn symbol_value(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text = match value {
        DeValue::Boolean(yes) => return Ok(if *yes { "y" } else { "n" }.to_owned()),
        DeValue::Integer(_) => return integer(value).map(|number| number.to_string()),
        _ => line(value).map_err(|_| Wrong::kind("true, false, a number or a line", value))?,
    };
    let hex = text.strip_prefix("0x").is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    match text.as_str() {
        "y" | "n" => Ok(text),
        "m" => Err(Wrong::from("kernels are built without modules").with_hint("write \"y\"")),
        _ if hex => Ok(text),
        _ => Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))),
    }
}

/// A file or directory beside the recipe `file`, with forward slashes, inside its library.
pub(super) fn source(value: &DeValue<'_>, file: &Source) -> Result<Source, Wrong> {
    let text = text(value)?;
    if text.starts_with('/') {
        let wrong = Wrong::from(format!("`{}` is an absolute path", text.escape_debug()));
        return Err(wrong.with_hint("write it relative to this file"));
    }
    let mut path = file.path.parent().unwrap_or_default();
    for part in text.split('/') {
        path = match part {
            "" | "." => path,
            ".." => path.parent().ok_or_else(|| {
                let home = match file.library {
                    Library::Project => "the project",
                    Library::Shipped => "what comes with vsbuild",
                };
                Wrong::from(format!("`{}` lies outside {home}", text.escape_debug()))
            })?,
            _ => path.join(part).map_err(|bad| Wrong::from(bad.to_string()))?,
        };
    }
    if path.is_root() {
        return Err("the whole project cannot be a source".into());
    }
    Ok(Source { library: file.library, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> DeValue<'_> {
        DeValue::parse(text).expect(text).into_inner()
    }

    #[test]
    fn sizes_are_binary_and_whole() {
        for (text, bytes) in [("512", 512), ("'1K'", 1024), ("'3M'", 3 << 20), ("'1G'", 1 << 30)] {
            assert_eq!(size(&parse(text)), Ok(bytes), "{text}");
        }
        for text in
            ["-1", "'1.5G'", "'G'", "'1GB'", "''", "'99999999999999999999'", "'99999999T'", "true"]
        {
            assert!(size(&parse(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mode_is_octal_digits_in_quotes() {
        assert_eq!(mode(&parse("'4755'")), Ok(0o4755));
        assert_eq!(mode(&parse("'644'")), Ok(0o644));
        for text in ["644", "0o644", "'0o644'", "'9'", "'07777'", "'+644'", "''"] {
            assert!(mode(&parse(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn an_epoch_is_a_date_or_seconds() {
        for (text, seconds) in [
            ("0", 0),
            ("-5", -5),
            ("1970-01-01", 0),
            ("1970-01-01T00:00:01Z", 1),
            ("2000-02-29T12:00:00", 951_825_600),
            ("2000-03-01T01:00:00+01:00", 951_868_800),
            ("1969-12-31T23:59:59Z", -1),
            ("2024-12-31T23:59:59Z", 1_735_689_599),
        ] {
            assert_eq!(epoch(&parse(text)), Ok(seconds), "{text}");
        }
        assert!(epoch(&parse("12:00:00")).is_err());
    }

    #[test]
    fn symbols_are_written_as_kconfig_does() {
        for (text, value) in [
            ("true", "y"),
            ("'n'", "n"),
            ("12", "12"),
            ("'0x1f'", "0x1f"),
            ("'a \"b\"'", "\"a \\\"b\\\"\""),
            ("''", "\"\""),
        ] {
            assert_eq!(symbol_value(&parse(text)), Ok(value.to_owned()), "{text}");
        }
        assert!(symbol_value(&parse("'m'")).is_err());
    }

    #[test]
    fn a_source_stays_in_its_library() {
        let file = Source::project("recipes/deep/a.toml").expect("a path");
        let found = |text: &str| source(&parse(text), &file).map(|source| source.to_string());
        assert_eq!(found("'../../guest/./src//x'"), Ok("guest/src/x".to_owned()));
        assert_eq!(found("'b.sh'"), Ok("recipes/deep/b.sh".to_owned()));
        for text in ["'/etc/passwd'", "'../../../x'", "'../..'", "\"a\\u0000\"", "3"] {
            assert!(found(text).is_err(), "{text}");
        }
    }
}
