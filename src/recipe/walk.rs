use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Problem, Source, value::Wrong};

/// A place in a recipe's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file: Source,
    pub(super) span: Range<usize>,
}

impl Spot {
    pub(super) fn problem(&self, wrong: impl Into<Wrong>) -> Problem {
        let Wrong { message, hint } = wrong.into();
        Problem { file: self.file.clone(), span: Some(self.span.clone()), message, hint }
    }
}

/// A value and the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) spot: Spot,
}

impl<T> At<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), spot: self.spot }
    }
}

/// The problems found so far. Shared, since tables are read inside tables.
#[derive(Debug, Default)]
pub(super) struct Report(RefCell<Vec<Problem>>);

impl Report {
    pub(super) fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// All problems by file and place. What an heir repeats of its base is said once.
    pub(super) fn finish(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort_by(|one, other| {
            let key = |problem: &Problem| problem.span.as_ref().map(|span| (span.start, span.end));
            (&one.file, key(one), &one.message).cmp(&(&other.file, key(other), &other.message))
        });
        problems.dedup();
        problems
    }
}

/// A table being read: remembers which keys were asked for, so that the rest are known to be mistakes.
pub(super) struct Fields<'a, 'i> {
    table: &'a DeTable<'i>,
    report: &'a Report,
    /// Where the table stands.
    pub(super) spot: Spot,
    asked: BTreeSet<&'static str>,
}

type Parse<'p, T> = &'p dyn Fn(&DeValue<'_>) -> Result<T, Wrong>;

impl<'a, 'i> Fields<'a, 'i> {
    pub(super) fn new(table: &'a DeTable<'i>, spot: Spot, report: &'a Report) -> Self {
        Self { table, report, spot, asked: BTreeSet::new() }
    }

    pub(super) fn report(&self) -> &'a Report {
        self.report
    }

    /// The value of `key`, if it is there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<At<&'a DeValue<'i>>> {
        self.asked.insert(key);
        let value = self.table.get(key)?;
        Some(At { value: value.get_ref(), spot: self.at(value.span()) })
    }

    /// The value of `key` as `parse` takes it; a value that it does not take is reported and left out.
    pub(super) fn read<T>(&mut self, key: &'static str, parse: Parse<'_, T>) -> Option<At<T>> {
        let found = self.get(key)?;
        self.parsed(found, parse)
    }

    /// The elements of the list at `key`; none if there is no list.
    pub(super) fn list<T>(&mut self, key: &'static str, parse: Parse<'_, T>) -> Option<Vec<At<T>>> {
        let At { value, spot } = self.get(key)?;
        let DeValue::Array(elements) = value else {
            self.report.add(spot.problem(Wrong::kind("a list", value)));
            return None;
        };
        let elements = elements
            .iter()
            .map(|element| At { value: element.get_ref(), spot: self.at(element.span()) });
        Some(elements.filter_map(|element| self.parsed(element, parse)).collect())
    }

    /// The values of the table at `key`, each under its own key.
    pub(super) fn map<K: Ord, T>(
        &mut self,
        key: &'static str,
        name: impl Fn(&str) -> Result<K, Wrong>,
        parse: Parse<'_, T>,
    ) -> BTreeMap<K, At<T>> {
        self.entries(key, name, |fields, value| fields.parsed(value, parse))
    }

    /// The tables inside the table at `key`, each under its own key.
    pub(super) fn tables<K: Ord, T>(
        &mut self,
        key: &'static str,
        name: impl Fn(&str) -> Result<K, Wrong>,
        read: impl Fn(&mut Fields<'_, '_>) -> T,
    ) -> BTreeMap<K, T> {
        self.entries(key, name, |fields, value| fields.inside(value, &read))
    }

    /// The table at `key`, with every key in it asked for by `read`.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Fields<'_, '_>) -> T,
    ) -> Option<T> {
        let found = self.get(key)?;
        self.inside(found, read)
    }

    /// Reads `found` as a table, with every key in it asked for by `read`.
    pub(super) fn inside<T>(
        &self,
        found: At<&DeValue<'_>>,
        read: impl FnOnce(&mut Fields<'_, '_>) -> T,
    ) -> Option<T> {
        let At { value, spot } = found;
        let DeValue::Table(table) = value else {
            self.report.add(spot.problem(Wrong::kind("a table", value)));
            return None;
        };
        let mut fields = Fields::new(table, spot, self.report);
        let value = read(&mut fields);
        fields.finish();
        Some(value)
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        let strange = self.table.keys().filter(|key| !self.asked.contains(key.get_ref().as_ref()));
        for key in strange {
            let wrong = Wrong::unknown("key", key.get_ref(), self.asked.iter().copied());
            self.report.add(self.at(key.span()).problem(wrong));
        }
    }

    fn entries<K: Ord, T>(
        &mut self,
        key: &'static str,
        name: impl Fn(&str) -> Result<K, Wrong>,
        read: impl Fn(&Self, At<&DeValue<'_>>) -> Option<T>,
    ) -> BTreeMap<K, T> {
        let mut entries = BTreeMap::new();
        let Some(At { value, spot }) = self.get(key) else { return entries };
        let DeValue::Table(table) = value else {
            self.report.add(spot.problem(Wrong::kind("a table", value)));
            return entries;
        };
        for (key, value) in table {
            let key_spot = self.at(key.span());
            let value = read(self, At { value: value.get_ref(), spot: self.at(value.span()) });
            match name(key.get_ref()) {
                Err(wrong) => self.report.add(key_spot.problem(wrong)),
                Ok(name) if entries.contains_key(&name) => {
                    self.report.add(key_spot.problem("this is written twice, spelled differently"));
                }
                Ok(name) => {
                    value.and_then(|value| entries.insert(name, value));
                }
            }
        }
        entries
    }

    fn parsed<T>(&self, found: At<&DeValue<'_>>, parse: Parse<'_, T>) -> Option<At<T>> {
        match parse(found.value) {
            Ok(value) => Some(At { value, spot: found.spot }),
            Err(wrong) => {
                self.report.add(found.spot.problem(wrong));
                None
            }
        }
    }

    fn at(&self, span: Range<usize>) -> Spot {
        Spot { file: self.spot.file.clone(), span }
    }
}

/// Where a table stands in `file`.
pub(super) fn spot_of(file: &Source, value: &Spanned<DeTable<'_>>) -> Spot {
    Spot { file: file.clone(), span: value.span() }
}
