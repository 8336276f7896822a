//! gem5's `stats.txt`, read as it streams by.
//!
//! The format is what `src/base/stats/text.cc` of gem5 24 and 25 prints: blocks between a line of `Begin` and one of `End`,
//! and in them a statistic a line:
//!
//! ```text
//! NAME VALUE [SHARE% CUMULATIVE%] [# DESCRIPTION] [(UNIT)]
//! NAME | VALUE [SHARE% CUMULATIVE%] | VALUE … [# DESCRIPTION] [(UNIT)]
//! ```
//!
//! An element of a vector has `::` and its own name after the vector's. A value is a decimal number, `nan` or `inf`. gem5 leaves
//! out many statistics that are zero. Descriptions and units are dropped.

use std::{
    io::{self, BufRead, Read},
    ops::Range,
    str,
};

/// How a block begins.
const BEGIN: &[u8] = b"---------- Begin Simulation Statistics ----------";
/// How a block ends.
const END: &[u8] = b"---------- End Simulation Statistics   ----------";
/// The longest line that is read; a distribution of thousands of buckets in one line stays far below.
const LONGEST_LINE: u64 = 1 << 20;

/// Why statistics could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file itself could not be read.
    #[error("the statistics cannot be read")]
    Read(#[from] io::Error),
    /// A line has more than a mebibyte.
    #[error("line {0} of the statistics is longer than a mebibyte")]
    LongLine(u64),
}

/// A line that says something.
#[derive(Debug, Clone, PartialEq)]
pub enum Line<'a> {
    /// A block begins.
    Begin,
    /// The block ended; only now it is known to be whole.
    End,
    /// A statistic with one value, or an element of a vector or of a distribution.
    Value {
        /// Its name, with the path of its object.
        name: &'a str,
        /// Its value; not a number where gem5 divided by zero.
        value: f64,
    },
    /// A vector or a distribution that was written in one line.
    Row {
        /// Its name, with the path of its object.
        name: &'a str,
        /// Its values, in order.
        values: Vec<f64>,
    },
}

/// Reads statistics line by line, with memory for one line only.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    odd: u64,
}

impl<R: BufRead> Reader<R> {
    /// A reader of the statistics in `input`.
    pub fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0, odd: 0 }
    }

    /// How many lines so far were neither empty nor understood.
    pub fn odd(&self) -> u64 {
        self.odd
    }

    /// The next line that says something; none at the end. What is not understood is counted and passed over.
    ///
    /// # Errors
    ///
    /// If the input cannot be read, or has a line that no gem5 would write.
    #[expect(clippy::should_implement_trait, reason = "what it lends ends with the next call")]
    pub fn next(&mut self) -> Result<Option<Line<'_>>, Error> {
        let said = loop {
            self.line.clear();
            self.number += 1;
            let limit = LONGEST_LINE + 1;
            let length = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
            if length == 0 {
                return Ok(None);
            }
            if length as u64 == limit {
                return Err(Error::LongLine(self.number));
            }
            match parse(&self.line) {
                Some(said) => break said,
                None if self.line.trim_ascii().is_empty() => (),
                None => self.odd += 1,
            }
        };
        // The name was found to be text, so that nothing is lost here.
        let name = |range| self.line.get::<Range<usize>>(range).map_or("", as_text);
        Ok(Some(match said {
            Said::Begin => Line::Begin,
            Said::End => Line::End,
            Said::Value(range, value) => Line::Value { name: name(range), value },
            Said::Row(range, values) => Line::Row { name: name(range), values },
        }))
    }
}

fn as_text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

/// What a line says, with the place of the name in it.
enum Said {
    Begin,
    End,
    Value(Range<usize>, f64),
    Row(Range<usize>, Vec<f64>),
}

fn parse(line: &[u8]) -> Option<Said> {
    let start = line.len() - line.trim_ascii_start().len();
    let line = line.trim_ascii();
    match line {
        BEGIN => return Some(Said::Begin),
        END => return Some(Said::End),
        _ => (),
    }
    let said = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let (name, rest) = str::from_utf8(said).ok()?.split_once(|c: char| c.is_ascii_whitespace())?;
    let place = start..start + name.len();
    match rest.trim_ascii_start().strip_prefix('|') {
        Some(cells) => Some(Said::Row(place, cells.split('|').map(value).collect::<Option<_>>()?)),
        None => Some(Said::Value(place, value(rest)?)),
    }
}

/// A number, perhaps with percentages after it, perhaps with a unit after those.
fn value(cell: &str) -> Option<f64> {
    let mut words = cell.split_ascii_whitespace();
    let value = words.next()?.parse().ok()?;
    words
        .take_while(|word| !word.starts_with('('))
        .all(|word| word.strip_suffix('%').is_some_and(|share| share.parse::<f64>().is_ok()))
        .then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line that does not borrow from its reader.
    #[derive(Debug, Clone, PartialEq)]
    enum Kept {
        Begin,
        End,
        Value(String, f64),
        Row(String, Vec<f64>),
    }

    fn read(text: &[u8]) -> (Vec<Kept>, u64) {
        let (mut reader, mut kept) = (Reader::new(text), Vec::new());
        while let Some(line) = reader.next().unwrap() {
            kept.push(match line {
                Line::Begin => Kept::Begin,
                Line::End => Kept::End,
                Line::Value { name, value } => Kept::Value(name.to_owned(), value),
                Line::Row { name, values } => Kept::Row(name.to_owned(), values),
            });
        }
        (kept, reader.odd())
    }

    fn value(name: &str, value: f64) -> Kept {
        Kept::Value(name.to_owned(), value)
    }

    #[test]
    fn a_block_is_read_as_gem5_writes_it() {
        let text = b"
---------- Begin Simulation Statistics ----------
simSeconds                                   0.000045                       # Number of seconds simulated (Second)
board.processor.switch1.core.cpi             nan                       # CPI: cycles per instruction (core level) ((Cycle/Count))
board.processor.switch1.core.commitStats0.committedInstType::IntAlu       104283     60.81%     61.11% # Class of committed instruction. (Count)
board.processor.switch1.core.numCommittedDist |       3     75.00%     75.00% |       1     25.00%    100.00% # Number of insts (Count)
a.b          -inf

---------- End Simulation Statistics   ----------
";
        let (lines, odd) = read(text);
        let core = "board.processor.switch1.core";
        assert_eq!(odd, 0);
        assert_eq!(lines[..2], [Kept::Begin, value("simSeconds", 0.000_045)]);
        let Kept::Value(_, cpi) = &lines[2] else { panic!("the CPI is a value") };
        assert!(cpi.is_nan());
        let alu = format!("{core}.commitStats0.committedInstType::IntAlu");
        assert_eq!(lines[3], value(&alu, 104_283.0));
        assert_eq!(lines[4], Kept::Row(format!("{core}.numCommittedDist"), vec![3.0, 1.0]));
        assert_eq!(lines[5..], [value("a.b", f64::NEG_INFINITY), Kept::End]);
    }

    #[test]
    fn what_is_not_understood_is_counted_and_passed_over() {
        let (lines, odd) = read(b"alone\nname word\n\xff 1\nname 1 2\nname 1 2%\n");
        assert_eq!((lines, odd), (vec![value("name", 1.0)], 4));
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let text = vec![b'x'; 3 << 20];
        assert!(matches!(Reader::new(text.as_slice()).next(), Err(Error::LongLine(1))));
    }

    /// A name as gem5 makes them.
    fn name() -> impl Strategy<Value = String> {
        "[a-z][a-zA-Z0-9_-]{0,12}(\\.[a-zA-Z0-9_-]{1,12}){0,4}(::[A-Za-z0-9_.-]{1,8})?"
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u32>().prop_map(f64::from),
            (-1e12..1e12f64).prop_map(|value| (value * 1e6).round() / 1e6),
            Just(f64::INFINITY),
        ]
    }

    fn line() -> impl Strategy<Value = (String, Kept)> {
        let tail = prop_oneof![Just(""), Just(" # a | b 1 # 2 (Count)"), Just(" (Tick)")];
        let share = prop_oneof![Just(""), Just("  12.50%"), Just("      0.00%    100.00%")];
        let one = (name(), number(), share.clone(), tail.clone()).prop_map(
            |(name, value, share, tail)| {
                (format!("{name:<40} {value:>12}{share}{tail}"), Kept::Value(name, value))
            },
        );
        let cells = prop::collection::vec(number(), 1..9);
        let row = (name(), cells, share, tail).prop_map(|(name, values, share, tail)| {
            let cells: String =
                values.iter().map(|value| format!(" |{value:>12}{share}")).collect();
            (format!("{name:<40}{cells}{tail}"), Kept::Row(name, values))
        });
        prop_oneof![4 => one, 1 => row]
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(lines in prop::collection::vec(line(), 0..30)) {
            let text: String = lines.iter().map(|(text, _)| format!("{text}\n")).collect();
            let wanted: Vec<Kept> = lines.into_iter().map(|(_, kept)| kept).collect();
            prop_assert_eq!(read(text.as_bytes()), (wanted, 0));
        }

        #[test]
        fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let (lines, odd) = read(&bytes);
            let all = bytes.split(|byte| *byte == b'\n').count() as u64;
            prop_assert!(lines.len() as u64 + odd <= all);
        }
    }
}
