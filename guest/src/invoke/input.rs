//! What functions are asked: inputs as vSwarm's client makes them, and requests with an input in them.

use crate::config::{Call, Field, Generator, Kind, Parameters};
use crate::protobuf::Message;

/// Where a field takes the input.
const INPUT: &str = "{input}";

/// The first `count` inputs of a run. The same parameters give the same inputs.
///
/// Without a text to begin with they are numbers: always the lower bound (`unique`), from the lower bound to the upper and
/// again (`linear`), or anywhere between (`random`). With a text they are that text, for the latter two with the number
/// behind it.
pub fn inputs(call: &Call, parameters: &Parameters, count: usize) -> Vec<String> {
    let text = parameters.input.as_deref().or(call.input.as_deref());
    let generator = parameters.generator.unwrap_or(call.generator);
    let lower = call.lower.unwrap_or(1);
    let upper = call.upper.unwrap_or(i64::from(u32::MAX)).max(lower);
    let span = upper.abs_diff(lower).saturating_add(1);
    let mut chance = Chance(parameters.seed);
    let mut input = |place: usize| {
        let offset = match generator {
            Generator::Unique => 0,
            Generator::Linear => place as u64 % span,
            Generator::Random => chance.next() % span,
        };
        let number = lower.wrapping_add(offset as i64);
        match (text, generator) {
            (Some(text), Generator::Unique) => text.to_owned(),
            (Some(text), Generator::Linear | Generator::Random) => format!("{text}{number}"),
            (None, _) => number.to_string(),
        }
    };
    (0..count).map(&mut input).collect()
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// The request with an input in it; an error if the input is not what a field can hold.
pub fn request(fields: &[Field], input: &str) -> Result<Vec<u8>, String> {
    let mut message = Message::default();
    for Field { number, kind, value } in fields {
        let value = value.replace(INPUT, input);
        let wrong = || format!("field {number} cannot hold `{value}`");
        message = match kind {
            Kind::Text => message.text(*number, &value),
            Kind::Integer => message.integer(*number, value.parse().map_err(|_| wrong())?),
            Kind::Double => message.double(*number, value.parse().map_err(|_| wrong())?),
            Kind::Float => message.float(*number, value.parse().map_err(|_| wrong())?),
            Kind::Bool => {
                let yes: bool = value.parse().map_err(|_| wrong())?;
                message.integer(*number, i64::from(yes))
            }
        };
    }
    Ok(message.encoded())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Check;

    fn call(generator: Generator, input: Option<&str>) -> Call {
        Call {
            method: "/a/b".into(),
            fields: Vec::new(),
            reply: 1,
            check: Check::Any,
            generator,
            lower: Some(3),
            upper: Some(5),
            input: input.map(str::to_owned),
        }
    }

    fn parameters() -> Parameters {
        Parameters { warm: 0, invocations: 0, ..Parameters::default() }
    }

    #[test]
    fn inputs_follow_from_the_parameters() {
        let of = |generator, input| inputs(&call(generator, input), &parameters(), 4);
        assert_eq!(of(Generator::Linear, None), ["3", "4", "5", "3"]);
        assert_eq!(of(Generator::Unique, None), ["3", "3", "3", "3"]);
        assert_eq!(of(Generator::Unique, Some("x")), ["x", "x", "x", "x"]);
        assert_eq!(of(Generator::Linear, Some("x")), ["x3", "x4", "x5", "x3"]);
        let random = of(Generator::Random, None);
        assert_eq!(random, of(Generator::Random, None), "chance has a fixed seed");
        assert!(random.iter().all(|input| ["3", "4", "5"].contains(&input.as_str())));
    }

    #[test]
    fn what_the_run_says_wins() {
        let parameters = Parameters {
            input: Some("y".into()),
            generator: Some(Generator::Unique),
            ..parameters()
        };
        assert_eq!(inputs(&call(Generator::Linear, Some("x")), &parameters, 1), ["y"]);
    }

    #[test]
    fn a_request_has_its_fields_in_their_types() {
        let field = |number, kind, value: &str| Field { number, kind, value: value.into() };
        let fields = [
            field(1, Kind::Text, "a{input}"),
            field(2, Kind::Integer, "{input}"),
            field(3, Kind::Double, "0.5"),
            field(4, Kind::Bool, "true"),
        ];
        let bytes = request(&fields, "7").unwrap();
        assert_eq!(bytes, *b"\x0a\x02a7\x10\x07\x19\0\0\0\0\0\0\xe0\x3f\x20\x01");
        assert!(request(&fields, "seven").unwrap_err().contains("field 2"));
    }
}
