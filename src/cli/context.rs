//! What every command starts from: the project, the store, the mirrors, the printer.

use std::{
    collections::BTreeMap,
    env,
    num::NonZero,
    path::{Path, PathBuf},
    thread,
};

use super::{
    args::Global,
    config::Config,
    printer::Printer,
    problem::{Failure, Problem},
};
use crate::{
    bundle,
    cache::Substituters,
    fetch::{Apt, CredentialFiles, Fetcher, Mirrors, Options, Registries},
    lock,
    plan::{self, Plan, StepId},
    project::{self, Project},
    realise::{self, Host, Realised, World},
    recipe::{self, Name, Recipes},
    store::Store,
};

/// Arguments, configuration and printer.
pub(super) struct Context {
    pub(super) global: Global,
    pub(super) printer: Printer,
    pub(super) config: Config,
    helper: PathBuf,
}

/// A plan for one recipe.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) name: Name,
}

impl Planned {
    /// The steps that make the recipe: for an image its disk and its kernel.
    pub(super) fn goals(&self) -> Vec<StepId> {
        goals(&self.plan, std::slice::from_ref(&self.name))
    }
}

/// The steps that make some recipes: for an image its disk and its kernel.
pub(super) fn goals(plan: &Plan, names: &[Name]) -> Vec<StepId> {
    let of = |name: &Name| {
        let kernel = plan.images.get(name).map(|image| image.kernel);
        std::iter::once(plan.recipes[name]).chain(kernel)
    };
    names.iter().flat_map(of).collect()
}

/// The steps whose trees are all of some recipes: a disk is laid out from its root file system.
pub(super) fn tops(plan: &Plan, names: &[Name]) -> Vec<StepId> {
    let of = |name: &Name| match plan.images.get(name) {
        Some(image) => vec![image.rootfs, image.kernel],
        None => vec![plan.recipes[name]],
    };
    names.iter().flat_map(of).collect()
}

impl Context {
    pub(super) fn new(global: Global) -> Result<Self, Problem> {
        let config = match &global.config {
            Some(path) => Config::read(path, true)?,
            None => Config::read(&default_config(), false)?,
        };
        let helper =
            env::current_exe().map_err(|error| Problem::from_error(Failure::Other, &error))?;
        Ok(Self { printer: Printer::new(global.quiet), global, config, helper })
    }

    /// A line for a person, on standard error.
    pub(super) fn note(&self, line: &str) {
        self.printer.say(line);
    }

    /// The directory that the project is looked for in, and above.
    fn start(&self) -> Result<PathBuf, Problem> {
        let here =
            || env::current_dir().map_err(|error| Problem::from_error(Failure::Other, &error));
        self.global.project.clone().map_or_else(here, Ok)
    }

    /// The project and its recipes, shipped ones included.
    pub(super) fn project(&self) -> Result<(Project, Recipes), Problem> {
        let start = self.start()?;
        let project = Project::find(&start).map_err(|error| {
            Problem::from_error(Failure::Input, &error)
                .help("go to a project, name one with -C DIR, or make one: vsbuild init DIR")
        })?;
        let recipes = recipe::load(&project.texts)
            .map_err(|problems| Problem::in_recipes(problems, project.texts.clone()))?;
        Ok((project, recipes))
    }

    /// The name of a recipe that there is.
    pub(super) fn name(&self, recipes: &Recipes, text: &str) -> Result<Name, Problem> {
        let name = text.parse::<Name>().ok().filter(|name| recipes.get(name).is_some());
        name.ok_or_else(|| {
            let names = recipes.iter().map(|recipe| recipe.name.as_str());
            // More than a third of a word is another word.
            let close = (text.len() / 3).clamp(1, 3);
            let near = names
                .map(|name| (strsim::damerau_levenshtein(name, text), name))
                .filter(|(distance, _)| *distance <= close)
                .min();
            let problem = Problem::new(Failure::Input, format!("there is no recipe `{text}`"));
            match near {
                Some((_, near)) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("vsbuild recipes lists them"),
            }
        })
    }

    pub(super) fn store_dir(&self) -> Result<PathBuf, Problem> {
        let default = || Store::default_dir(env::var_os("XDG_DATA_HOME"), env::var_os("HOME"));
        self.global.store.clone().or_else(default).ok_or_else(|| {
            Problem::new(Failure::Other, "there is no place for the store: $HOME is not set")
                .help("name a directory with --store DIR")
        })
    }

    pub(super) fn store(&self) -> Result<Store, Problem> {
        let dir = self.store_dir()?;
        Store::open(&dir).map_err(|error| self.explain(error.into()))
    }

    pub(super) fn fetcher(&self) -> Result<Fetcher, Problem> {
        let Apt { mirrors, proxies } = Apt::read(Path::new("/"));
        let variables = env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mirrors = Mirrors::new(&self.config.mirrors, variables, &mirrors)
            .map_err(|error| Problem::from_error(Failure::Input, &error))?;
        let options = Options { offline: self.global.offline, proxies, ..Options::default() };
        let fetcher = Fetcher::new(mirrors, options).with_registries(self.registries()?);
        let vendor = project::vendor_dir(&self.start()?)
            .map_err(|error| Problem::from_error(Failure::Input, &error))?;
        // What a project keeps itself comes before all that others have.
        Ok(match vendor {
            Some(dir) => fetcher.with_shelf(bundle::Vendor::shelf(&dir)),
            None => fetcher,
        })
    }

    /// Where registries are, and who we are to them.
    pub(super) fn registries(&self) -> Result<Registries, Problem> {
        let credentials = CredentialFiles::of_user(|name| env::var_os(name));
        Registries::new(&self.config.registries, credentials)
            .map_err(|error| Problem::from_error(Failure::Input, &error))
    }

    /// Everything down to the keys: recipes and lock as steps.
    pub(super) fn plan(&self, name: &str, store: &Store) -> Result<Planned, Problem> {
        let (project, recipes) = self.project()?;
        let name = self.name(&recipes, name)?;
        let plan = self.lower(&project, &recipes, std::slice::from_ref(&name), store)?;
        Ok(Planned { plan, name })
    }

    /// The steps for some recipes.
    pub(super) fn lower(
        &self,
        project: &Project,
        recipes: &Recipes,
        goals: &[Name],
        store: &Store,
    ) -> Result<Plan, Problem> {
        lock::cover(&project.lock, recipes, goals).map_err(|error| {
            let names: Vec<String> = goals.iter().map(|name| format!("`{name}`")).collect();
            let needs = names.join(", ");
            Problem::new(Failure::Input, format!("lockfile.toml does not cover {needs}: {error}"))
        })?;
        let needed = plan::needed_sources(recipes, goals);
        let sources = project::sources(project, &needed, store)
            .map_err(|error| Problem::from_error(Failure::Input, &error))?;
        let mut trees = BTreeMap::new();
        for (source, tree) in sources {
            let digest = store.put_tree(&tree).map_err(|error| self.explain(error.into()))?;
            trees.insert(source, plan::SourceTree { digest, tree });
        }
        plan::lower(recipes, &project.lock, &trees, goals)
            .map_err(|error| Problem::from_error(Failure::Input, &error))
    }

    /// What making things needs of the world.
    pub(super) fn world<'a>(
        &'a self,
        store: &'a Store,
        fetcher: &'a Fetcher,
        substituters: Option<&'a Substituters>,
        keep_failed: bool,
    ) -> World<'a> {
        let host = Host { helper: &self.helper, jobs: self.jobs(), keep_failed };
        World { store, fetcher, substituters, host }
    }

    /// Makes the outputs of some steps exist.
    pub(super) fn realise(
        &self,
        plan: &Plan,
        goals: &[StepId],
        store: &Store,
        keep_failed: bool,
    ) -> Result<Realised, Problem> {
        let (fetcher, substituters) = (self.fetcher()?, self.substituters()?);
        let world = self.world(store, &fetcher, substituters.as_ref(), keep_failed);
        realise::realise(plan, goals, &world, &self.printer).map_err(|error| self.explain(error))
    }

    /// gem5's program: as an option or the environment says, or else the configuration.
    pub(super) fn gem5(&self, given: Option<&Path>) -> Result<PathBuf, Problem> {
        let gem5 = given.map(Path::to_owned).or_else(|| self.config.gem5.clone());
        gem5.ok_or_else(|| {
            Problem::new(Failure::Input, "which gem5 is to be used?")
                .help("--gem5 FILE, $VSBUILD_GEM5, or `gem5 = \"FILE\"` in the configuration file")
        })
    }

    pub(super) fn jobs(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        self.global.jobs.map_or_else(cores, NonZero::get)
    }

    pub(super) fn helper(&self) -> &Path {
        &self.helper
    }

    /// The file that the configuration is in, or would be.
    pub(super) fn config_file(&self) -> PathBuf {
        self.global.config.clone().unwrap_or_else(default_config)
    }

    /// What a failed build means and what to do about it.
    pub(super) fn explain(&self, error: realise::Error) -> Problem {
        super::explain::build(error)
    }
}

fn default_config() -> PathBuf {
    config_home().join("vsbuild/config.toml")
}

/// Where configuration is: `$XDG_CONFIG_HOME`, else `$HOME/.config` (XDG base directories 0.8).
pub(super) fn config_home() -> PathBuf {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .or_else(home)
        .unwrap_or_default()
}
