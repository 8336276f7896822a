//! What functions must reply: the texts of vSwarm's standalone functions, made once more.
//!
//! | function | reply to `X` |
//! |---|---|
//! | fibonacci | `fn: Fib: y = fib(x) \| x: X y: Y \| runtime: R`, with Y the number at place X |
//! | aes | `fn: AES \| plaintext: X \| ciphertext: C \| runtime: R`; JavaScript has no bar behind X |
//! | auth | `fn: Auth \| token: X \| resp: P \| runtime: R`, with a policy that says Allow or Deny, or a refusal |
//!
//! Languages write and encrypt in their own ways, and each way is right.

use super::aes::Cipher;
use crate::config::Check;

/// The key of aes, as digits: Go takes what they mean, the others the digits themselves.
const KEY: &str = "6368616e676520746869732070617373";
const INITIAL: [u8; 16] = *b"0000000000000000";
const DEFAULT_PLAINTEXT: &str = "defaultplaintext";

/// Says why `reply` to `input` is wrong; nothing if it is right.
pub fn fault(check: &Check, input: &str, reply: &str) -> Option<String> {
    let expected = match check {
        Check::Any => return None,
        Check::Contains(text) if reply.contains(text.as_str()) => return None,
        Check::Contains(text) => vec![format!("…{text}…")],
        Check::Fibonacci => fibonacci(input),
        Check::Aes => aes(input),
        Check::Auth => return auth(input, reply),
    };
    let right = expected.iter().any(|text| text == reply);
    (!right).then(|| expected.join(" or "))
}

fn fibonacci(input: &str) -> Vec<String> {
    let place = input.parse().unwrap_or(0);
    let number = number_at(place);
    let reply =
        |runtime| format!("fn: Fib: y = fib(x) | x: {place} y: {number} | runtime: {runtime}");
    ["GoLang", "python", "NodeJS"].map(reply).into()
}

/// The number of Fibonacci's at a place, of any length: digits are kept nine at a time, the lowest first.
fn number_at(place: u32) -> String {
    const BASE: u32 = 1_000_000_000;
    let (mut this, mut next) = (vec![0u32], vec![1u32]);
    for _ in 0..place {
        let mut carry = 0;
        this.resize(next.len(), 0);
        for (digits, more) in this.iter_mut().zip(&next) {
            let sum = *digits + more + carry;
            (*digits, carry) = (sum % BASE, sum / BASE);
        }
        if carry > 0 {
            this.push(carry);
        }
        std::mem::swap(&mut this, &mut next);
    }
    let highest = this.iter().rposition(|digits| *digits > 0).unwrap_or(0);
    let lower = this[..highest].iter().rev().map(|digits| format!("{digits:09}"));
    lower.fold(this[highest].to_string(), |text, digits| text + &digits)
}

fn aes(input: &str) -> Vec<String> {
    let plaintext = if matches!(input, "" | "world") { DEFAULT_PLAINTEXT } else { input };
    let text = plaintext.as_bytes();
    let meant: Vec<u8> = (0..KEY.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(&KEY[at..at + 2], 16).ok())
        .collect();
    let go = hex(&Cipher::new(&meant).counter_mode(text));
    let long = Cipher::new(KEY.as_bytes());
    let python = as_python_shows(&long.counter_mode(text));
    let node = hex(&long.chained(&INITIAL, text));
    vec![
        format!("fn: AES | plaintext: {plaintext} | ciphertext: {go} | runtime: golang"),
        format!("fn: AES | plaintext: {plaintext} | ciphertext: {python} | runtime: Python"),
        format!("fn: AES | plaintext: {plaintext} ciphertext: {node} | runtime: NodeJS"),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `repr` of Python's `bytes`: in single quotes, unless there are such inside and no double ones.
fn as_python_shows(bytes: &[u8]) -> String {
    let double = bytes.contains(&b'\'') && !bytes.contains(&b'"');
    let quote = if double { '"' } else { '\'' };
    let shown = bytes.iter().map(|byte| match byte {
        b'\\' => "\\\\".to_owned(),
        b'\'' if !double => "\\'".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b' '..=b'~' => char::from(*byte).to_string(),
        other => format!("\\x{other:02x}"),
    });
    format!("b{quote}{}{quote}", shown.collect::<String>())
}

fn auth(input: &str, reply: &str) -> Option<String> {
    let head = format!("fn: Auth | token: {input} | resp: ");
    let runtimes = ["golang", "python", "nodejs"];
    let middle = runtimes.iter().find_map(|runtime| {
        reply.strip_prefix(&head)?.strip_suffix(&format!(" | runtime: {runtime}"))
    });
    let right = |middle: &str| match input {
        // vSwarm's function in Python shows where its policy lies in memory, not what it says.
        "allow" | "deny" if middle.contains("'policyDocument': <") => true,
        "allow" => middle.contains("execute-api:Invoke") && middle.contains("Allow"),
        "deny" => middle.contains("execute-api:Invoke") && middle.contains("Deny"),
        "unauthorized" => middle == "Unauthorized",
        _ => middle == "Error: Invalid token",
    };
    (!middle.is_some_and(right)).then(|| format!("{head}… | runtime: …"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(check: &Check, input: &str, reply: &str) -> bool {
        fault(check, input, reply).is_none()
    }

    #[test]
    fn numbers_of_any_length_are_right() {
        let at = |place| number_at(place);
        assert_eq!(
            (at(0), at(1), at(10), at(93)),
            ("0".into(), "1".into(), "55".into(), "12200160415121876738".into())
        );
        assert_eq!(at(100), "354224848179261915075");
        assert!(at(1000).starts_with("43466557686937456435688527675040625802564660517371780402"));
        assert!(right(
            &Check::Fibonacci,
            "30",
            "fn: Fib: y = fib(x) | x: 30 y: 832040 | runtime: GoLang"
        ));
        assert!(!right(
            &Check::Fibonacci,
            "30",
            "fn: Fib: y = fib(x) | x: 30 y: 832041 | runtime: GoLang"
        ));
    }

    #[test]
    fn texts_are_encrypted_as_each_language_does_it() {
        // What the functions themselves replied, whose libraries are others' work.
        for (input, reply) in [
            ("exampleplaintext", "fn: AES | plaintext: exampleplaintext | ciphertext: d91399c43f6adaef3d909876e79904a9 | runtime: golang"),
            ("hello", "fn: AES | plaintext: hello | ciphertext: d40e94c520 | runtime: golang"),
            ("world", "fn: AES | plaintext: defaultplaintext | ciphertext: b'\\x11\\x8d\\xd8\"?d\\x9d\\xde\\x81\\xbc\\x0c\\xfe\\xc7\\xa5\\xb9\\xe3' | runtime: Python"),
            ("hello", "fn: AES | plaintext: hello | ciphertext: b'\\x1d\\x8d\\xd2/%' | runtime: Python"),
            ("exampleplaintext", "fn: AES | plaintext: exampleplaintext ciphertext: 27dc199c23a49be078cee6f8d23fbfd1b74f9ece9e39df45287cfabecc522142 | runtime: NodeJS"),
        ] {
            assert!(right(&Check::Aes, input, reply), "{:?}", fault(&Check::Aes, input, reply));
        }
        let other = "fn: AES | plaintext: hello | ciphertext: d40e94c521 | runtime: golang";
        assert!(!right(&Check::Aes, "hello", other));
    }

    #[test]
    fn a_token_gets_what_it_stands_for() {
        let reply = |token: &str, policy: &str| {
            format!("fn: Auth | token: {token} | resp: {policy} | runtime: golang")
        };
        let policy = "{principalId:user … execute-api:Invoke Effect:Allow …}";
        assert!(right(&Check::Auth, "allow", &reply("allow", policy)));
        assert!(!right(&Check::Auth, "deny", &reply("deny", policy)));
        assert!(right(&Check::Auth, "unauthorized", &reply("unauthorized", "Unauthorized")));
        assert!(right(&Check::Auth, "x", &reply("x", "Error: Invalid token")));
        assert!(!right(&Check::Auth, "x", &reply("y", "Error: Invalid token")));
    }

    #[test]
    fn a_text_may_be_all_that_is_asked() {
        let check = Check::Contains("ok".to_owned());
        assert!(right(&check, "", "it is ok") && !right(&check, "", "it is not"));
        assert!(right(&Check::Any, "", ""));
    }
}
