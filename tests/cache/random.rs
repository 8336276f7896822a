//! A line that corrupts at random, for some hundred pulls: each ends right or with words about it, and nothing wrong is ever in a
//! store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Mutex,
    time::Duration,
};

use tempfile::tempdir;
use vsbuild::{
    cache::{Source, Substituters},
    digest::Digest,
    plan::Plan,
    realise::{self, Event, Taken, Watch},
    remote::{self, Options},
    store::Store,
    trust::{Keys, Policy},
};

use crate::{
    common::{
        lab::Lab,
        sharing::{key, plan, push},
    },
    line::{Fault, Line},
    nginx::Nginx,
    world::{Chance, noise},
};

const PULLS: usize = 208;

/// What was said of caches.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Watch for Notes {
    fn see(&self, event: Event<'_>) {
        if let Event::Note { text } = event {
            self.0.lock().unwrap().push(text);
        }
    }
}

/// A lab with a root file system of small files, and one with a file that is longer than a pack.
fn lab() -> Lab {
    let mut lab = Lab::new();
    for (name, length) in [("app", 0), ("large", 17 << 20)] {
        lab.package(name, |root| {
            let share = root.join("usr/share").join(name);
            fs::create_dir_all(&share).unwrap();
            for number in 0..20 {
                fs::write(share.join(number.to_string()), noise(number, 300)).unwrap();
            }
            // On the line it is short.
            fs::write(share.join("file"), b"the same again ".repeat(length / 15)).unwrap();
        });
        lab.set(&format!("root-{name}.packages"), &[name], &[name]);
        let text = format!("kind = \"rootfs\"\npackages = [\"{name}\"]\n");
        lab.env.write(&format!("recipes/root-{name}.toml"), &text);
    }
    lab
}

/// One answer in a few has a fault.
fn faults(seed: u64) -> impl FnMut(&str) -> Fault + Send {
    let mut chance = Chance::new(seed);
    move |_| {
        if chance.below(14) > 0 {
            return Fault::None;
        }
        match chance.below(8) {
            0 | 1 => Fault::Flip(chance.next()),
            2 => Fault::Cut(chance.below(1000)),
            3 => Fault::Longer(1 + chance.below(1000)),
            4 => Fault::Shorter(1 + chance.below(40)),
            5 => Fault::Late(chance.below(80)),
            6 => Fault::Status([500, 502, 503][chance.below(3) as usize]),
            _ => Fault::HangUp,
        }
    }
}

/// What steps came to, by their places in the plan, which is the same everywhere.
fn outputs(plan: &Plan, store: &Store) -> BTreeMap<usize, Digest> {
    let known = realise::known(plan, store).unwrap();
    plan.iter().filter_map(|(id, _)| Some((id.index(), known.output(id)?))).collect()
}

#[test]
fn whatever_happens_on_the_way_nothing_wrong_is_taken() {
    let Some(nginx) = Nginx::start("") else { return };
    let lab = lab();
    let names = ["root-app", "root-large"];
    for name in names {
        lab.build(name);
        push(&lab, name, &nginx.root().join("lab"), &key("a"));
    }
    let own = Store::open(&lab.env.store()).unwrap();
    let truth: Vec<BTreeMap<usize, Digest>> =
        names.iter().map(|name| outputs(&plan(&lab.env.project(), &own, name), &own)).collect();
    let line = Line::new(&nginx.host, faults(2024));
    let address = format!("http://{}/lab", line.host);
    let options = Options {
        pause: Duration::from_millis(1),
        stall: Duration::from_secs(5),
        ..Options::default()
    };
    let (mut right, mut failed) = (0, 0);
    let mut said = BTreeSet::new();
    let mut dir = tempdir().unwrap();
    for pull in 0..PULLS {
        let which = usize::from(pull % 16 == 15);
        let store = Store::open(&dir.path().join(which.to_string())).unwrap();
        let plan = plan(&lab.env.project(), &store, names[which]);
        let goal = plan.recipes[&names[which].parse().unwrap()];
        let remote = remote::open(&address.parse().unwrap(), &options).unwrap();
        let policy =
            Policy { keys: Keys::new([key("a").public()], []), need: 1, ..Policy::default() };
        let from = Substituters::new(vec![Source { remote, inputs: false }], policy);
        let notes = Notes::default();
        let Taken { realised, missing } =
            realise::take(&plan, &[goal], &from, &store, &notes).unwrap();
        for (step, output) in outputs(&plan, &store) {
            assert_eq!(truth[which].get(&step), Some(&output), "step {step} in pull {pull}");
        }
        let notes = notes.0.into_inner().unwrap();
        if missing.is_empty() {
            right += 1;
            assert_eq!(realised.output(goal), truth[which].get(&goal.index()).copied());
            assert_eq!(store.verify(&|_| ()).unwrap().damaged, [], "pull {pull}: {notes:?}");
            // The next one begins with nothing.
            dir = tempdir().unwrap();
        } else {
            failed += 1;
            let words = notes.iter().filter(|note| note.contains(&address));
            let words: Vec<String> = words.map(|note| note.replace(&address, "")).collect();
            assert!(!words.is_empty(), "pull {pull} failed without a word: {notes:?}");
            said.extend(words);
            if pull % 4 == 0 {
                assert_eq!(store.verify(&|_| ()).unwrap().damaged, [], "pull {pull}: {notes:?}");
            }
        }
    }
    assert!(right > PULLS / 5 && failed > PULLS / 20, "{right} right, {failed} failed: {said:?}");
    assert!(line.faults() > PULLS / 4, "{}", line.faults());
    assert!(said.len() > 10, "many kinds of faults: {said:?}");
}
