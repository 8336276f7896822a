//! `/etc/vsbuild/functions/NAME.conf`: a container of the image, and how it is called if it is a function.
//!
//! | key | times | meaning |
//! |---|---|---|
//! | `image` | once | the image's name in containerd |
//! | `snapshot` | once | chain id of its top layer: the snapshot that the container's root file system begins with |
//! | `spec` | once | absolute path of its OCI runtime specification |
//! | `port` | once | where it listens; published under the same number |
//! | `needs` | any | name of a container to start before, from a file beside this one |
//! | `method` | at most once | gRPC path of the function; a container without is only started, and has none of the keys below |
//! | `field` | any | `NUMBER KIND VALUE` of the request: `string`, `int`, `double`, `float` or `bool`; `{input}` in a value stands for the input |
//! | `reply` | at most once | `NUMBER CHECK`: the field of the reply and what is right for it: `fibonacci`, `aes`, `auth`, `any` or `contains TEXT`; `1 any` if not given |
//! | `generator` | at most once | how inputs are made: `unique`, `random` or `linear`; `unique` if not given |
//! | `lower`, `upper` | at most once | bounds of numbers that are made |
//! | `input` | at most once | what inputs are made from |

use super::{entries, Entry, Mistake};

/// Where the functions lie in the guest.
pub const DIRECTORY: &str = "/etc/vsbuild/functions";

/// A container of the image.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// Its name: of the file, of the container, of its control group and on its network.
    pub name: String,
    /// Its image's name in containerd.
    pub image: String,
    /// Chain id of the image's top layer.
    pub snapshot: String,
    /// Path of its runtime specification.
    pub spec: String,
    /// The port at which it listens.
    pub port: u16,
    /// Containers to be started before.
    pub needs: Vec<String>,
    /// How it is called, if it is a function.
    pub call: Option<Call>,
}

/// How a function is called, and what it should reply.
#[derive(Debug, PartialEq)]
pub struct Call {
    /// gRPC path: `/package.Service/Method`.
    pub method: String,
    /// Fields of the request.
    pub fields: Vec<Field>,
    /// Number of the field of the reply that is checked.
    pub reply: u32,
    /// What is right for it.
    pub check: Check,
    /// How inputs are made.
    pub generator: Generator,
    /// Lower bound of inputs that are numbers.
    pub lower: Option<i64>,
    /// Upper bound of inputs that are numbers.
    pub upper: Option<i64>,
    /// What inputs are made from.
    pub input: Option<String>,
}

/// A field of a request.
#[derive(Debug, PartialEq)]
pub struct Field {
    /// Its number.
    pub number: u32,
    /// How it is encoded.
    pub kind: Kind,
    /// Its value, where `{input}` stands for the input.
    pub value: String,
}

/// How a field is encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `string` or `bytes`.
    Text,
    /// `int32` or `int64`.
    Integer,
    /// `double`.
    Double,
    /// `float`.
    Float,
    /// `bool`.
    Bool,
}

/// What is right for a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// What vSwarm's fibonacci replies.
    Fibonacci,
    /// What vSwarm's aes replies.
    Aes,
    /// What vSwarm's auth replies.
    Auth,
    /// This text is in it.
    Contains(String),
    /// Anything.
    Any,
}

/// How inputs are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Generator {
    /// One after the other, never the same.
    Unique,
    /// By chance, from a fixed seed.
    Random,
    /// From the lower bound to the upper one.
    Linear,
}

/// Reads a function of this guest and all that it needs, in the order of [`with_needs`].
pub fn of_guest(name: &str) -> Result<Vec<Function>, Mistake> {
    with_needs(name, |path| {
        std::fs::read_to_string(path).map_err(|error| Mistake::of_file(path, error))
    })
}

/// Reads a function and all that it needs: each comes after what it needs itself, the function last.
///
/// `read` gives the text of a function's file.
fn with_needs(
    name: &str,
    mut read: impl FnMut(&str) -> Result<String, Mistake>,
) -> Result<Vec<Function>, Mistake> {
    let mut ready = Vec::new();
    gather(name, &mut read, &mut Vec::new(), &mut ready)?;
    Ok(ready)
}

fn gather(
    name: &str,
    read: &mut dyn FnMut(&str) -> Result<String, Mistake>,
    waiting: &mut Vec<String>,
    ready: &mut Vec<Function>,
) -> Result<(), Mistake> {
    if ready.iter().any(|function| function.name == name) {
        return Ok(());
    }
    let file = file(name);
    if waiting.iter().any(|other| other == name) {
        return Err(Mistake::of_file(&file, format!("`{name}` needs itself")));
    }
    let function = parse(name, &read(&file)?)?;
    waiting.push(name.to_owned());
    for needed in &function.needs {
        gather(needed, read, waiting, ready)?;
    }
    waiting.pop();
    ready.push(function);
    Ok(())
}

fn file(name: &str) -> String {
    format!("{DIRECTORY}/{name}.conf")
}

/// Reads the text of a function's file.
fn parse(name: &str, text: &str) -> Result<Function, Mistake> {
    let file = file(name);
    let (mut image, mut snapshot, mut spec, mut port) = (None, None, None, None);
    let (mut method, mut reply, mut generator, mut input) = (None, None, None, None);
    let (mut lower, mut upper) = (None, None);
    let (mut needs, mut fields) = (Vec::new(), Vec::new());
    // A key that only a function has, for when it is none.
    let mut of_call: Option<Mistake> = None;

    for entry in entries(&file, text) {
        let entry = entry?;
        match entry.key {
            "image" => entry.once(&mut image, entry.value.to_owned())?,
            "snapshot" => entry.once(&mut snapshot, entry.value.to_owned())?,
            "spec" => entry.once(&mut spec, entry.path()?)?,
            "port" => entry.once(&mut port, entry.number("a port")?)?,
            "needs" => needs.push(entry.name()?),
            "method" => entry.once(&mut method, entry.path()?)?,
            "field" => fields.push(field(&entry)?),
            "reply" => entry.once(&mut reply, self::reply(&entry)?)?,
            "generator" => {
                let known = generator_named(entry.value);
                let known = known.ok_or_else(|| {
                    entry.mistake(format!("`{}` is not unique, random or linear", entry.value))
                })?;
                entry.once(&mut generator, known)?;
            }
            "lower" => entry.once(&mut lower, entry.number("a whole number")?)?,
            "upper" => entry.once(&mut upper, entry.number("a whole number")?)?,
            "input" => entry.once(&mut input, entry.value.to_owned())?,
            _ => return Err(entry.unknown()),
        }
        if matches!(entry.key, "field" | "reply" | "generator" | "lower" | "upper" | "input") {
            let stray = || entry.mistake(format!("`{}` without a `method`", entry.key));
            of_call.get_or_insert_with(stray);
        }
    }

    if let (Some(lower), Some(upper)) = (lower, upper) {
        if lower > upper {
            return Err(Mistake::of_file(
                &file,
                format!("`lower` {lower} is above `upper` {upper}"),
            ));
        }
    }
    let (reply, check) = reply.unwrap_or((1, Check::Any));
    let generator = generator.unwrap_or(Generator::Unique);
    let call = match (method, of_call) {
        (Some(method), _) => {
            Some(Call { method, fields, reply, check, generator, lower, upper, input })
        }
        (None, Some(stray)) => return Err(stray),
        (None, None) => None,
    };
    let missing = |key: &str| Mistake::of_file(&file, format!("`{key}` is missing"));
    Ok(Function {
        name: name.to_owned(),
        image: image.ok_or_else(|| missing("image"))?,
        snapshot: snapshot.ok_or_else(|| missing("snapshot"))?,
        spec: spec.ok_or_else(|| missing("spec"))?,
        port: port.ok_or_else(|| missing("port"))?,
        needs,
        call,
    })
}

/// `NUMBER KIND VALUE`; the value may be empty.
fn field(entry: &Entry) -> Result<Field, Mistake> {
    let wrong = || entry.mistake(format!("`{}` is not `NUMBER KIND VALUE`", entry.value));
    let (number, rest) = entry.value.split_once(' ').ok_or_else(wrong)?;
    let (kind, value) = rest.split_once(' ').unwrap_or((rest, ""));
    let kind = match kind {
        "string" => Kind::Text,
        "int" => Kind::Integer,
        "double" => Kind::Double,
        "float" => Kind::Float,
        "bool" => Kind::Bool,
        _ => return Err(wrong()),
    };
    Ok(Field { number: field_number(number).ok_or_else(wrong)?, kind, value: value.to_owned() })
}

/// `NUMBER CHECK`.
fn reply(entry: &Entry) -> Result<(u32, Check), Mistake> {
    let wrong = || entry.mistake(format!("`{}` is not `NUMBER CHECK`", entry.value));
    let (number, check) = entry.value.split_once(' ').ok_or_else(wrong)?;
    let check = match check.split_once(' ') {
        None if check == "fibonacci" => Check::Fibonacci,
        None if check == "aes" => Check::Aes,
        None if check == "auth" => Check::Auth,
        None if check == "any" => Check::Any,
        Some(("contains", text)) => Check::Contains(text.to_owned()),
        _ => return Err(wrong()),
    };
    Ok((field_number(number).ok_or_else(wrong)?, check))
}

/// What Protocol Buffers take for the number of a field.
fn field_number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| (1..1 << 29).contains(number))
}

/// A generator by its name.
pub(super) fn generator_named(name: &str) -> Option<Generator> {
    Some(match name {
        "unique" => Generator::Unique,
        "random" => Generator::Random,
        "linear" => Generator::Linear,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/etc/vsbuild/functions/f.conf";
    const SMALL: &str = "image docker.io/vsbuild/f:latest\nsnapshot sha256:ab\n\
                         spec /etc/vsbuild/functions/f.json\nport 50000\n";

    fn mistake(more: &str) -> String {
        parse("f", &format!("{SMALL}{more}\n")).expect_err(more).to_string()
    }

    #[test]
    fn a_function_says_how_it_is_called() {
        let text = format!(
            "{SMALL}needs db\nneeds cache\nmethod /helloworld.Greeter/SayHello\nfield 1 string {{input}}\n\
             field 2 int 7\nfield 3 string \nreply 1 contains Hello, \ngenerator linear\nlower 1\nupper 30\ninput x y\n"
        );
        let function = parse("f", &text).expect("a whole function");
        assert_eq!((function.port, function.needs), (50000, vec!["db".into(), "cache".into()]));
        let field = |number, kind, value: &str| Field { number, kind, value: value.into() };
        assert_eq!(
            function.call,
            Some(Call {
                method: "/helloworld.Greeter/SayHello".into(),
                fields: vec![
                    field(1, Kind::Text, "{input}"),
                    field(2, Kind::Integer, "7"),
                    field(3, Kind::Text, "")
                ],
                reply: 1,
                check: Check::Contains("Hello, ".into()),
                generator: Generator::Linear,
                lower: Some(1),
                upper: Some(30),
                input: Some("x y".into()),
            })
        );
    }

    #[test]
    fn a_container_without_a_method_is_only_started() {
        assert_eq!(parse("f", SMALL).expect("a container").call, None);
        assert_eq!(mistake("lower 1"), format!("{FILE}:5: `lower` without a `method`"));
    }

    #[test]
    fn mistakes_name_file_and_line() {
        assert_eq!(mistake("memory 1G"), format!("{FILE}:5: unknown key `memory`"));
        assert_eq!(mistake("port 70000"), format!("{FILE}:5: `70000` is not a port"));
        assert_eq!(
            mistake("needs ../x"),
            format!("{FILE}:5: `../x` is not a name: letters, digits, `-`, `_` and `.`")
        );
        assert_eq!(
            mistake("field 0 int 1"),
            format!("{FILE}:5: `0 int 1` is not `NUMBER KIND VALUE`")
        );
        assert_eq!(
            mistake("field 1 text x"),
            format!("{FILE}:5: `1 text x` is not `NUMBER KIND VALUE`")
        );
        assert_eq!(mistake("reply 1 right"), format!("{FILE}:5: `1 right` is not `NUMBER CHECK`"));
        assert_eq!(
            mistake("generator even"),
            format!("{FILE}:5: `even` is not unique, random or linear")
        );
        assert_eq!(
            mistake("method /a/b\nlower 3\nupper 2"),
            format!("{FILE}: `lower` 3 is above `upper` 2")
        );
        let missing = parse("f", "image i\n").expect_err("no snapshot").to_string();
        assert_eq!(missing, format!("{FILE}: `snapshot` is missing"));
    }

    fn order(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let read = |path: &str| {
            let file = files.iter().find(|(name, _)| file(name) == path);
            let (_, needs) = file.ok_or_else(|| Mistake::of_file(path, "not there"))?;
            let needs: String = needs.split_whitespace().map(|n| format!("needs {n}\n")).collect();
            Ok(SMALL.to_owned() + &needs)
        };
        let functions = with_needs("f", read).map_err(|mistake| mistake.to_string())?;
        Ok(functions.into_iter().map(|function| function.name).collect())
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let files = [("f", "db cache"), ("db", "disk"), ("cache", "disk"), ("disk", "")];
        assert_eq!(order(&files), Ok(["disk", "db", "cache", "f"].map(String::from).to_vec()));
    }

    #[test]
    fn a_circle_or_a_gap_in_the_needs_is_a_mistake() {
        let circle = order(&[("f", "g"), ("g", "f")]);
        assert_eq!(circle, Err(format!("{FILE}: `f` needs itself")));
        let gap = order(&[("f", "g")]);
        assert_eq!(gap, Err("/etc/vsbuild/functions/g.conf: not there".to_owned()));
    }
}
