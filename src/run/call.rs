use serde::Serialize;

/// How the guest is to call a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Its name in the image.
    pub function: String,
    /// Invocations before the measured ones.
    pub warm: u64,
    /// Measured invocations.
    pub invocations: u64,
    /// The text that inputs are made of, in place of the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// How inputs are made, in place of the image's way: `unique`, `random` or `linear`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// What random inputs begin with, in place of the guest's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl Call {
    /// The words on the kernel's command line that tell the guest, which reads them from `/proc/cmdline`.
    ///
    /// Bytes of a value that could end a word, or mean something to the kernel, are written `%xx`.
    pub fn words(&self) -> String {
        let Self { function, warm, invocations, input, generator, seed } = self;
        let mut words = format!(
            "vsbuild.function={} vsbuild.warm={warm} vsbuild.invocations={invocations}",
            encoded(function)
        );
        let seed = seed.map(|seed| seed.to_string());
        for (key, value) in [("input", input), ("generator", generator), ("seed", &seed)] {
            if let Some(value) = value {
                words += &format!(" vsbuild.{key}={}", encoded(value));
            }
        }
        words
    }
}

fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    let letter = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }
    };
    value.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_one_word_whatever_is_in_it() {
        let call = Call {
            function: "aes-go".to_owned(),
            warm: 5,
            invocations: 20,
            input: Some("a \"b\" = 100%\u{e9}".to_owned()),
            generator: None,
            seed: Some(7),
        };
        assert_eq!(
            call.words(),
            "vsbuild.function=aes-go vsbuild.warm=5 vsbuild.invocations=20 \
             vsbuild.input=a%20%22b%22%20%3d%20100%25%c3%a9 vsbuild.seed=7"
        );
    }
}
