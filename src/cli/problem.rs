//! Errors become words, a hint and an exit code.

use std::{collections::BTreeMap, error::Error, fmt, io::Write, process::ExitCode};

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource};

use crate::recipe::{Problems, Source};

/// What kind of failure it is: the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Anything else.
    Other = 1,
    /// The command line, a recipe or the lockfile.
    Input = 2,
    /// A step of the build.
    Build = 3,
    /// Bytes are not what was promised.
    Mismatch = 4,
    /// Something could not be fetched.
    Fetch = 5,
    /// The guest did not do what it should.
    Guest = 6,
    /// The sandbox does not work on this machine.
    Sandbox = 7,
}

/// A failure with all that a person needs to go on.
#[derive(Debug)]
pub(super) struct Problem {
    failure: Failure,
    message: String,
    /// What led to it, from the outside in.
    causes: Vec<String>,
    help: Vec<String>,
    /// Places in recipes that it is about, with the texts.
    places: Option<(Problems, BTreeMap<Source, String>)>,
}

impl Problem {
    /// A failure with its message.
    pub(super) fn new(failure: Failure, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { failure, message, causes: Vec::new(), help: Vec::new(), places: None }
    }

    /// A failure with an error and its causes.
    pub(super) fn from_error(failure: Failure, error: &dyn Error) -> Self {
        let mut problem = Self::new(failure, error);
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors repeat their cause in their own words.
            if !problem.message.contains(&text) {
                problem.causes.push(text);
            }
            cause = error.source();
        }
        problem
    }

    /// Mistakes in recipes.
    pub(super) fn in_recipes(problems: Problems, texts: BTreeMap<Source, String>) -> Self {
        let count = problems.0.len();
        let message = match count {
            1 => "there is a mistake in the recipes".to_owned(),
            _ => format!("there are {count} mistakes in the recipes"),
        };
        Self { places: Some((problems, texts)), ..Self::new(Failure::Input, message) }
    }

    /// Adds what would help.
    pub(super) fn help(mut self, help: impl fmt::Display) -> Self {
        self.help.push(help.to_string());
        self
    }

    /// Says it on standard error, or as JSON on standard output, and gives the exit code.
    pub(super) fn report(&self, json: bool) -> ExitCode {
        // Nobody reads the message if the stream is closed; the exit code remains.
        let _ = if json {
            writeln!(std::io::stdout(), "{}", self.to_json())
        } else {
            write!(std::io::stderr(), "{self}")
        };
        ExitCode::from(self.failure as u8)
    }

    fn to_json(&self) -> serde_json::Value {
        let places = self.places.iter().flat_map(|(problems, _)| &problems.0).map(|problem| {
            let span = problem.span.as_ref().map(|span| [span.start, span.end]);
            serde_json::json!({
                "file": problem.file.to_string(),
                "bytes": span,
                "message": problem.message,
                "hint": problem.hint,
            })
        });
        serde_json::json!({
            "error": self.message,
            "exit": self.failure as u8,
            "causes": self.causes,
            "help": self.help,
            "places": places.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((problems, texts)) = &self.places {
            for problem in &problems.0 {
                show_place(f, problem, texts.get(&problem.file))?;
            }
        }
        writeln!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            writeln!(f, "  because: {cause}")?;
        }
        for help in &self.help {
            let mut lines = help.lines();
            writeln!(f, "  help: {}", lines.next().unwrap_or_default())?;
            lines.try_for_each(|line| writeln!(f, "        {line}"))?;
        }
        Ok(())
    }
}

fn show_place(
    f: &mut fmt::Formatter<'_>,
    problem: &crate::recipe::Problem,
    text: Option<&String>,
) -> fmt::Result {
    let mut diagnostic = MietteDiagnostic::new(problem.message.clone());
    if let Some(span) = &problem.span {
        diagnostic = diagnostic.with_label(LabeledSpan::underline(span.clone()));
    }
    if let Some(hint) = &problem.hint {
        diagnostic = diagnostic.with_help(hint.clone());
    }
    let text = text.cloned().unwrap_or_default();
    let report = miette::Report::new(diagnostic)
        .with_source_code(NamedSource::new(problem.file.to_string(), text));
    let theme = GraphicalTheme::unicode_nocolor();
    GraphicalReportHandler::new_themed(theme).with_width(100).render_report(f, report.as_ref())
}
