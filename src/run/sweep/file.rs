use std::{collections::BTreeSet, fmt, ops::Range};

use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::nearest::nearest;
use crate::run::gem5::keys::{self, Kind};

/// The most points that a sweep may have: more are a slip of the pen.
const MOST_POINTS: usize = 10_000;

/// A sweep as it is written.
///
/// ```toml
/// image = "functions"
/// functions = ["fibonacci-go", "aes-go"]
///
/// [call]                     # as the options of `vsbuild run` of these names
/// warm = 20
/// invocations = 10
///
/// [machine]                  # a preset, keys of a machine, or both
/// preset = "skylake"
///
/// [grid]                     # keys of the machine; every combination of their values is run
/// "caches.l2.size" = ["256KiB", "1MiB"]
/// clock = ["2GHz", "3GHz"]
///
/// [slurm]                    # what `sbatch` is told
/// partition = "long"
/// time = "2-00:00:00"
/// memory = "4G"
/// cpus = 1
/// options = ["--account=lab"]
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The image's recipe.
    pub image: String,
    /// Functions of the image, in the order in which they are run.
    pub functions: Vec<String>,
    /// How they are called.
    pub calls: Calls,
    /// What all machines have in common.
    pub machine: Table,
    /// Keys of the machine with their values, in the order in which they are written.
    pub grid: Vec<(String, Vec<Value>)>,
    /// What the points need of a cluster.
    pub slurm: Resources,
}

/// How functions are called: the options of `vsbuild run` of the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// Invocations before the measured ones.
    pub warm: u64,
    /// Measured invocations.
    pub invocations: u64,
    /// The text that inputs are made of, in place of the recipe's.
    pub input: Option<String>,
    /// How inputs are made, in place of the recipe's way.
    pub generator: Option<String>,
    /// What random inputs begin with.
    pub seed: Option<u64>,
}

impl Default for Calls {
    /// What `vsbuild run` takes where nothing is said.
    fn default() -> Self {
        Self { warm: 1, invocations: 10, input: None, generator: None, seed: None }
    }
}

/// What a point needs of a cluster: options of `sbatch`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// `--partition`.
    pub partition: Option<String>,
    /// `--time`, as Slurm writes it.
    pub time: Option<String>,
    /// `--mem`, as Slurm writes it.
    pub memory: Option<String>,
    /// `--cpus-per-task`.
    pub cpus: Option<u64>,
    /// More options, as they are.
    pub options: Vec<String>,
}

/// Something in a sweep's file that is not right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What would help.
    pub hint: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, " ({hint})"))
    }
}

/// All mistakes of a file, in its order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Mistakes(pub Vec<Mistake>);

impl Sweep {
    /// Reads a sweep. `check` looks at the TOML of a machine and says what is wrong with it; every point's machine is
    /// shown to it.
    ///
    /// # Errors
    ///
    /// All mistakes at once, with their lines.
    pub fn parse(text: &str, check: &dyn Fn(&str) -> Result<(), String>) -> Result<Self, Mistakes> {
        let mut reader = Reader { text, mistakes: BTreeSet::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            reader.wrong(error.span().unwrap_or(0..0), error.message(), None);
        }
        let sweep = reader.sweep(table.get_ref());
        // Values that were left out because they are wrong would make machines wrong in other ways.
        if reader.mistakes.is_empty() {
            reader.machines(&sweep, table.get_ref(), check);
        }
        match reader.mistakes.is_empty() {
            true => Ok(sweep),
            false => {
                Err(Mistakes(reader.mistakes.into_iter().map(|(_, mistake)| mistake).collect()))
            }
        }
    }
}

/// Reads values and gathers mistakes, by place.
struct Reader<'t> {
    text: &'t str,
    mistakes: BTreeSet<(usize, Mistake)>,
}

type Entry<'v, 'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        self.mistakes.insert((span.start, Mistake { line, message: message.into(), hint }));
    }

    fn sweep(&mut self, file: &DeTable<'_>) -> Sweep {
        self.only(file, &["image", "functions", "call", "machine", "grid", "slurm"]);
        let image = file.get("image").and_then(|value| self.text(value));
        let functions = file.get("functions").map(|value| self.texts(value));
        if image.is_none() && !file.contains_key("image") {
            self.wrong(0..0, "`image` is not given", Some("image = \"functions\"".to_owned()));
        }
        match &functions {
            Some(names) if names.is_empty() => {
                let span = file.get("functions").map_or(0..0, Spanned::span);
                self.wrong(span, "`functions` names no function", None);
            }
            None => {
                let hint = "functions = [\"fibonacci-go\"]".to_owned();
                self.wrong(0..0, "`functions` is not given", Some(hint));
            }
            Some(_) => (),
        }
        let sweep = Sweep {
            image: image.unwrap_or_default(),
            functions: functions.unwrap_or_default(),
            calls: self.table(file, "call").map_or_else(Calls::default, |table| self.calls(table)),
            machine: self.table(file, "machine").map_or_else(Table::new, |t| self.machine(t)),
            grid: self.table(file, "grid").map_or_else(Vec::new, |table| self.grid(table)),
            slurm: self.table(file, "slurm").map_or_else(Resources::default, |t| self.slurm(t)),
        };
        let choices = sweep.grid.iter().map(|(_, values)| values.len());
        let count = choices.fold(sweep.functions.len(), usize::saturating_mul);
        if count > MOST_POINTS {
            let span = file.get("grid").map_or(0..0, Spanned::span);
            self.wrong(span, format!("these are {count} points; {MOST_POINTS} are the most"), None);
        }
        sweep
    }

    fn calls(&mut self, table: &DeTable<'_>) -> Calls {
        self.only(table, &["warm", "invocations", "input", "generator", "seed"]);
        let usual = Calls::default();
        let generator = table.get("generator").and_then(|value| {
            let word = self.text(value)?;
            if !["unique", "random", "linear"].contains(&word.as_str()) {
                let hint = Some("there are unique, random and linear".to_owned());
                self.wrong(value.span(), format!("there is no generator `{word}`"), hint);
            }
            Some(word)
        });
        let invocations = table.get("invocations").and_then(|value| {
            let number = self.number(value)?;
            if !(1..=100_000).contains(&number) {
                self.wrong(value.span(), "invocations are 1 to 100000", None);
            }
            Some(number)
        });
        Calls {
            warm: self.optional_number(table, "warm").unwrap_or(usual.warm),
            invocations: invocations.unwrap_or(usual.invocations),
            input: self.optional_text(table, "input"),
            generator,
            seed: self.optional_number(table, "seed"),
        }
    }

    fn slurm(&mut self, table: &DeTable<'_>) -> Resources {
        self.only(table, &["partition", "time", "memory", "cpus", "options"]);
        Resources {
            partition: self.optional_text(table, "partition"),
            time: self.optional_text(table, "time"),
            memory: self.optional_text(table, "memory"),
            cpus: self.optional_number(table, "cpus"),
            options: table.get("options").map_or_else(Vec::new, |value| self.texts(value)),
        }
    }

    /// The machine that all points begin with.
    fn machine(&mut self, table: &DeTable<'_>) -> Table {
        let mut machine = Table::new();
        for (key, span, value) in self.flat(table) {
            if let Some(value) = self.value(&key, span, value) {
                super::grid::set(&mut machine, &key, value);
            }
        }
        machine
    }

    fn grid(&mut self, table: &DeTable<'_>) -> Vec<(String, Vec<Value>)> {
        let mut grid: Vec<(usize, (String, Vec<Value>))> = Vec::new();
        for (key, span, value) in self.flat(table) {
            let DeValue::Array(list) = value.get_ref() else {
                let hint = format!("{} = [{}]", quoted(&key), written(value.get_ref()));
                self.wrong(value.span(), format!("`{key}` needs a list of values"), Some(hint));
                continue;
            };
            if list.is_empty() {
                self.wrong(value.span(), format!("`{key}` has no values"), None);
            }
            let mut values: Vec<Value> = Vec::new();
            for value in list.iter() {
                let Some(read) = self.value(&key, span.clone(), value) else { continue };
                if values.contains(&read) {
                    self.wrong(value.span(), format!("`{key}` has this value twice"), None);
                }
                values.push(read);
            }
            grid.push((span.start, (key, values)));
        }
        // A table that was read is sorted by key; the order of the file says which points belong together.
        grid.sort_by_key(|(place, _)| *place);
        grid.into_iter().map(|(_, entry)| entry).collect()
    }

    /// The leaves of a table by dotted key. Whether dots are in a quoted key or between keys makes no difference.
    fn flat<'v, 'i>(
        &mut self,
        table: &'v DeTable<'i>,
    ) -> Vec<(String, Range<usize>, &'v Entry<'v, 'i>)> {
        let mut leaves = Vec::new();
        for (key, value) in table.iter() {
            match value.get_ref() {
                DeValue::Table(inner) => {
                    for (rest, span, value) in self.flat(inner) {
                        leaves.push((format!("{}.{rest}", key.get_ref()), span, value));
                    }
                }
                _ => leaves.push((key.get_ref().to_string(), key.span(), value)),
            }
        }
        leaves
    }

    /// A value of a machine's key.
    fn value(&mut self, key: &str, span: Range<usize>, value: &Entry<'_, '_>) -> Option<Value> {
        let Some(kind) = keys::all().get(key).copied() else {
            let known = keys::all();
            let hint = nearest(key, known.keys().map(String::as_str))
                .map(|near| format!("did you mean `{near}`?"));
            self.wrong(span, format!("a machine has no key `{}`", key.escape_debug()), hint);
            return None;
        };
        let read = match value.get_ref() {
            DeValue::String(text) => Some(Value::String(text.to_string())),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .filter(|number| *number >= 0)
                .map(Value::Integer),
            _ => None,
        };
        let needed = match (kind, &read) {
            (Kind::Text, Some(Value::String(_))) | (Kind::Number, Some(Value::Integer(_))) => {
                return read;
            }
            (Kind::Text, _) => "a text in quotes",
            (Kind::Number, _) => "a number",
        };
        self.wrong(value.span(), format!("`{key}` is {needed}"), None);
        None
    }

    /// Shows the machines of all points to what knows machines.
    fn machines(
        &mut self,
        sweep: &Sweep,
        file: &DeTable<'_>,
        check: &dyn Fn(&str) -> Result<(), String>,
    ) {
        let place = |key: &str| file.get(key).map(Spanned::span);
        let span = place("grid").or_else(|| place("machine")).unwrap_or(0..0);
        let mut said = BTreeSet::new();
        for point in super::points(sweep) {
            let Err(message) = check(&point.machine_toml()) else { continue };
            if said.insert(message.clone()) {
                let message = match sweep.grid.is_empty() {
                    true => message,
                    false => format!("{message}, at {}", point.place()),
                };
                self.wrong(span.clone(), message, None);
            }
        }
    }

    fn only(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for (key, _) in table.iter() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", known.join(", ")),
            };
            self.wrong(key.span(), format!("unknown key `{}`", name.escape_debug()), Some(hint));
        }
    }

    fn table<'v, 'i>(&mut self, file: &'v DeTable<'i>, key: &str) -> Option<&'v DeTable<'i>> {
        let value = file.get(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong(value.span(), format!("`{key}` is a table: [{key}]"), None);
        }
        table
    }

    /// A text of one line.
    fn text(&mut self, value: &Entry<'_, '_>) -> Option<String> {
        match value.get_ref().as_str() {
            Some(text) if !text.is_empty() && !text.chars().any(char::is_control) => {
                Some(text.to_owned())
            }
            _ => {
                self.wrong(value.span(), "this must be a text of one line, in quotes", None);
                None
            }
        }
    }

    fn texts(&mut self, value: &Entry<'_, '_>) -> Vec<String> {
        let DeValue::Array(list) = value.get_ref() else {
            self.wrong(value.span(), "this must be a list of texts", None);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for value in list.iter() {
            let Some(text) = self.text(value) else { continue };
            if texts.contains(&text) {
                self.wrong(value.span(), format!("`{text}` is named twice"), None);
            }
            texts.push(text);
        }
        texts
    }

    fn number(&mut self, value: &Entry<'_, '_>) -> Option<u64> {
        let number = match value.get_ref() {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong(value.span(), "this must be a number, and not negative", None);
        }
        number
    }

    fn optional_text(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        table.get(key).and_then(|value| self.text(value))
    }

    fn optional_number(&mut self, table: &DeTable<'_>, key: &str) -> Option<u64> {
        table.get(key).and_then(|value| self.number(value))
    }
}

/// A key as TOML writes it.
fn quoted(key: &str) -> String {
    if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() }
}

/// A plain value as TOML writes it.
fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(digits) => digits.as_str().to_owned(),
        _ => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Sweep, Mistakes> {
        Sweep::parse(text, &|_| Ok(()))
    }

    const GOOD: &str = r#"
        image = "functions"
        functions = ["aes-go", "fibonacci-go"]
        [call]
        warm = 20
        input = "7"
        [machine]
        preset = "skylake"
        caches.l2.assoc = 8
        [grid]
        clock = ["2GHz", "3GHz"]
        "caches.l2.size" = ["256KiB", "1MiB"]
        o3.branch = ["ltage", "tage"]
        [slurm]
        partition = "long"
        options = ["--account=lab"]
    "#;

    #[test]
    fn a_grid_keeps_the_order_in_which_it_is_written() {
        let sweep = parse(GOOD).unwrap();
        let keys: Vec<_> =
            sweep.grid.iter().map(|(key, values)| (key.as_str(), values.len())).collect();
        assert_eq!(keys, [("clock", 2), ("caches.l2.size", 2), ("o3.branch", 2)]);
        assert_eq!(sweep.functions, ["aes-go", "fibonacci-go"]);
        assert_eq!((sweep.calls.warm, sweep.calls.invocations), (20, 10));
        assert_eq!(sweep.machine["caches"]["l2"]["assoc"].as_integer(), Some(8));
        assert_eq!(sweep.slurm.options, ["--account=lab"]);
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_line_and_hint() {
        let text = "imag = \"functions\"\nfunctions = [\"a\", \"a\"]\n[call]\nwarn = 3\n\
                    invocations = 0\n[machine]\ncores = \"two\"\nchaches.l2.size = \"1MiB\"\n\
                    [grid]\n\"caches.l2.siez\" = [\"1MiB\"]\nclock = \"2GHz\"\n[slurm]\nmem = \"4G\"\n";
        let Mistakes(mistakes) = parse(text).unwrap_err();
        let told: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        assert_eq!(
            told,
            [
                "line 1: `image` is not given (image = \"functions\")",
                "line 1: unknown key `imag` (did you mean `image`?)",
                "line 2: `a` is named twice",
                "line 4: unknown key `warn` (did you mean `warm`?)",
                "line 5: invocations are 1 to 100000",
                "line 7: `cores` is a number",
                "line 8: a machine has no key `chaches.l2.size` (did you mean `caches.l2.size`?)",
                "line 10: a machine has no key `caches.l2.siez` (did you mean `caches.l2.size`?)",
                "line 11: `clock` needs a list of values (clock = [\"2GHz\"])",
                "line 13: unknown key `mem` (known are partition, time, memory, cpus, options)",
            ]
        );
    }

    #[test]
    fn text_that_is_no_toml_is_a_mistake_with_a_line() {
        let Mistakes(mistakes) = parse("image = \"f\"\nfunctions = [\"a\"\n[grid\n").unwrap_err();
        assert!(mistakes.iter().any(|mistake| mistake.line >= 2), "{mistakes:?}");
    }

    #[test]
    fn a_machine_that_cannot_be_is_told_with_the_point_that_has_it() {
        let check = |machine: &str| match machine.contains("4GHz") {
            true => Err("clock is too fast".to_owned()),
            false => Ok(()),
        };
        let text =
            "image = \"f\"\nfunctions = [\"a\", \"b\"]\n[grid]\nclock = [\"2GHz\", \"4GHz\"]\n";
        let Mistakes(mistakes) = Sweep::parse(text, &check).unwrap_err();
        let told: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        assert_eq!(told, ["line 3: clock is too fast, at clock=4GHz"]);
    }

    #[test]
    fn a_grid_without_end_is_refused() {
        let clocks: Vec<String> = (1..=200).map(|clock| format!("\"{clock}MHz\"")).collect();
        let numbers: Vec<String> = (1..=100).map(|number| number.to_string()).collect();
        let text = format!(
            "image = \"f\"\nfunctions = [\"a\"]\n[grid]\nclock = [{}]\n\"o3.rob\" = [{}]\n",
            clocks.join(","),
            numbers.join(",")
        );
        assert!(parse(&text).unwrap_err().to_string().contains("20000 points"));
    }
}
