//! JSON as CNI speaks it: read into values that remember their text, written by putting texts together.
//!
//! A CNI runtime passes on objects that it does not understand: a plugin's settings, the result of the plugin before. A value
//! here is its own text, so that it is passed on as it came.
//!
//! Grammar: RFC 8259. A key that comes twice means its first value; numbers are kept as text.

/// How deep lists and objects may lie in each other.
const DEEPEST: usize = 64;

/// A value, and where it stands.
#[derive(Debug)]
pub struct Json<'a> {
    /// Its text, without white space around it.
    pub raw: &'a str,
    kind: Kind<'a>,
}

#[derive(Debug)]
enum Kind<'a> {
    /// `null`, `true`, `false` or a number.
    Word,
    Text(String),
    List(Vec<Json<'a>>),
    Object(Vec<(String, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Reads a text that is one value. An error says what is wrong, and at which byte.
    pub fn read(text: &'a str) -> Result<Json<'a>, String> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(DEEPEST)?;
        reader.space();
        match reader.peek() {
            None => Ok(value),
            Some(_) => Err(reader.problem("something follows the value")),
        }
    }

    /// The value of a key of an object.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        match &self.kind {
            Kind::Object(members) => {
                members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            Kind::Word | Kind::Text(_) | Kind::List(_) => None,
        }
    }

    /// The elements of a list; of anything else there are none.
    pub fn list(&self) -> &[Json<'a>] {
        match &self.kind {
            Kind::List(elements) => elements,
            Kind::Word | Kind::Text(_) | Kind::Object(_) => &[],
        }
    }

    /// A string, with its escapes resolved.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::Word | Kind::List(_) | Kind::Object(_) => None,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Json<'a>, String> {
        self.space();
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(_) => self.word()?,
            None => return Err(self.problem("a value is missing")),
        };
        Ok(Json { raw: &self.text[start..self.at], kind })
    }

    fn object(&mut self, depth: usize) -> Result<Kind<'a>, String> {
        let mut members = Vec::new();
        self.series(b'}', depth, |reader, depth| {
            reader.space();
            let name = reader.string()?;
            reader.space();
            reader.expect(b':')?;
            members.push((name, reader.value(depth)?));
            Ok(())
        })?;
        Ok(Kind::Object(members))
    }

    fn list(&mut self, depth: usize) -> Result<Kind<'a>, String> {
        let mut elements = Vec::new();
        self.series(b']', depth, |reader, depth| {
            elements.push(reader.value(depth)?);
            Ok(())
        })?;
        Ok(Kind::List(elements))
    }

    /// Anything between brackets and separated by commas.
    fn series(
        &mut self,
        end: u8,
        depth: usize,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(depth) = depth.checked_sub(1) else { return Err(self.problem("nested too deep")) };
        self.at += 1;
        self.space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self, depth)?;
            self.space();
            if self.peek() == Some(end) {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain =
                rest.find(['"', '\\']).ok_or_else(|| self.problem("a string has no end"))?;
            if let Some(control) = rest[..plain].find(|c: char| c < ' ') {
                self.at += control;
                return Err(self.problem("a control character in a string"));
            }
            text.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Ok(text);
            }
            text.push(self.escape()?);
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, String> {
        let escape = self.peek();
        self.at += 1;
        Ok(match escape {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.code_unit()?;
                let is_pair =
                    (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u");
                if !is_pair {
                    return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                self.at += 2;
                let units = [first as u16, self.code_unit()? as u16];
                let character = char::decode_utf16(units).next().and_then(Result::ok);
                character.unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => {
                self.at -= 1;
                return Err(self.problem("no such escape"));
            }
        })
    }

    /// Four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.problem("an escape needs four digits"))?;
        self.at += 4;
        Ok(unit)
    }

    /// A number or a literal. Of a number's shape only the characters are looked at: nobody here calculates with it.
    fn word(&mut self) -> Result<Kind<'a>, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        let word = &rest[..end.unwrap_or(rest.len())];
        let is_number = word.starts_with(|c: char| c == '-' || c.is_ascii_digit())
            && word.parse::<f64>().is_ok_and(f64::is_finite);
        if !is_number && !["null", "true", "false"].contains(&word) {
            return Err(self.problem("this is no value"));
        }
        self.at += word.len();
        Ok(Kind::Word)
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.peek() != Some(byte) {
            return Err(self.problem(&format!("`{}` is missing", char::from(byte))));
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn problem(&self, what: &str) -> String {
        format!("JSON, byte {}: {what}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Json::read(text).expect_err(text)
    }

    #[test]
    fn values_are_found_and_keep_their_text() {
        let text = " {\"a\": [1, -2.5e3 , {\"b\":null}], \"c\" : \"d\" , \"c\":\"later\", \"e\": { \"f\" :[ ] } }\n";
        let json = Json::read(text).expect(text);
        let list = json.get("a").expect("a").list();
        assert_eq!(
            list.iter().map(|one| one.raw).collect::<Vec<_>>(),
            ["1", "-2.5e3", "{\"b\":null}"]
        );
        assert_eq!(json.get("c").and_then(Json::text), Some("d"));
        assert_eq!(json.get("e").map(|e| e.raw), Some("{ \"f\" :[ ] }"));
        assert_eq!(json.raw, text.trim());
        assert!(json.get("g").is_none() && json.get("c").expect("c").get("x").is_none());
    }

    #[test]
    fn escapes_are_resolved() {
        let json = Json::read(r#""a\"\\\/\n\u00e9\ud83d\ude00\ud800x""#).expect("a string");
        assert_eq!(json.text(), Some("a\"\\/\né😀\u{fffd}x"));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert_eq!(problem(""), "JSON, byte 0: a value is missing");
        assert_eq!(problem("{\"a\":1,}"), "JSON, byte 7: `\"` is missing");
        assert_eq!(problem("[1 2]"), "JSON, byte 3: `,` is missing");
        assert_eq!(problem("[1] x"), "JSON, byte 4: something follows the value");
        assert_eq!(problem("\"abc"), "JSON, byte 1: a string has no end");
        assert_eq!(problem("\"a\nb\""), "JSON, byte 2: a control character in a string");
        assert_eq!(problem(r#""\x""#), "JSON, byte 2: no such escape");
        assert_eq!(problem(r#""\u12é4""#), "JSON, byte 3: an escape needs four digits");
        assert_eq!(problem("nil"), "JSON, byte 0: this is no value");
        assert_eq!(problem("-inf"), "JSON, byte 0: this is no value");
        assert_eq!(problem(&"[".repeat(100)), "JSON, byte 64: nested too deep");
    }

    #[test]
    fn every_cut_of_a_text_is_refused_without_a_panic() {
        let text =
            r#"{"interfaces":[{"name":"eth0","é":"\u00e9"}],"ips":[{"address":"10.0.0.2/24"}]}"#;
        Json::read(text).expect(text);
        for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
            problem(&text[..end]);
        }
    }
}
