//! What is to be done in this run: as the kernel's command line and the image's configuration say.

use std::fs;

use super::cores::Cores;
use super::Failure;
use crate::config::{self, Config, Container, Function, Mistake, Parameters};
use crate::m5::Simulator;

/// What is to be done.
pub enum Task {
    /// The container of the configuration.
    Container(Container),
    /// The last of these functions, which needs the others, as this run wants it, on these cores.
    Function(Vec<Function>, Parameters, Cores),
    /// A function that the simulator will name when containerd is ready, on these cores.
    Ask(Parameters, Cores),
}

impl Task {
    /// What is to be done after all, as the simulator answers.
    pub fn answered(self, simulator: &Simulator) -> Result<Task, Failure> {
        let Task::Ask(parameters, cores) = self else { return Ok(self) };
        let parameters = simulator.answer(&parameters).map_err(Failure::Guest)?;
        match &parameters.function {
            Some(name) => Ok(Task::Function(functions(name)?, parameters, cores)),
            None => Ok(Task::Ask(parameters, cores)),
        }
    }
}

/// Reads the guest's configuration.
pub fn configuration() -> Result<Config, Failure> {
    Ok(config::parse_guest(&text(config::PATH)?)?)
}

/// Decides what is to be done. Before anything is started, since everything goes to the cores where init goes.
pub fn decide(container: Option<Container>) -> Result<Task, Failure> {
    let parameters = config::parse_run(&text(config::COMMAND_LINE)?)?;
    match (&parameters.function, container) {
        (None, _) if parameters.ask => Ok(Task::Ask(parameters, Cores::divide()?)),
        (Some(name), _) => {
            let functions = functions(name)?;
            Ok(Task::Function(functions, parameters, Cores::divide()?))
        }
        (None, Some(container)) => Ok(Task::Container(container)),
        (None, None) => Err(nothing_to_do()),
    }
}

fn text(path: &str) -> Result<String, Mistake> {
    fs::read_to_string(path).map_err(|error| Mistake::of_file(path, error))
}

/// The function that a run asks for, and what that needs: the function is the last one.
fn functions(name: &str) -> Result<Vec<Function>, Failure> {
    config::functions(name).map_err(|mistake| {
        let known = known();
        let is_known = known.iter().any(|other| other == name);
        let hint = if is_known { String::new() } else { list(&known) };
        Failure::Guest(format!("{mistake}{hint}"))
    })
}

/// What to say when nothing is to be done.
fn nothing_to_do() -> Failure {
    let what = "the kernel's command line names no function (vsbuild.function=NAME)";
    Failure::Guest(format!("{what}, and {} has no container{}", config::PATH, list(&known())))
}

fn list(known: &[String]) -> String {
    match known {
        [] => "; there are no functions in this image".to_owned(),
        some => format!("; functions in this image: {}", some.join(", ")),
    }
}

/// The names of all functions of this image.
fn known() -> Vec<String> {
    let files = fs::read_dir(config::DIRECTORY).into_iter().flatten().flatten();
    let names =
        files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".conf")?.to_owned()));
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}
