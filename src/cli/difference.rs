//! A comparison as text for a person.

use std::fmt::Write;

use super::printer::{count, size};
use crate::compare::{
    BytesDiff, Cause, Change, ContentDiff, FileDiff, MadeDiff, PartDiff, Report, SectionDiff,
    StepDiff, StructureDiff,
};

/// The most characters of one value that are shown.
const VALUE_MAX: usize = 100;

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Entries of a list.
    pub(super) listed: usize,
    /// Lines of one text.
    pub(super) lines: usize,
}

/// All of a report, first what it comes to.
pub(super) fn text(report: &Report, limits: Limits) -> String {
    let mut page = Page { text: String::new(), limits };
    page.line(0, &verdict(report));
    if let Some(made) = &report.made {
        page.made(made);
    }
    let lock = report.lock.iter().map(|it| {
        let of =
            if it.of.is_empty() { it.kind.to_owned() } else { format!("{} {}", it.kind, it.of) };
        change(&Change { what: format!("{of}: {}", it.change.what), ..it.change.clone() })
    });
    page.list("lockfile", lock);
    page.list("around the files", report.around.iter().map(change));
    for part in &report.parts {
        page.part(part);
    }
    page.list("note", report.notes.iter().cloned());
    page.text
}

/// The first line.
fn verdict(report: &Report) -> String {
    let (a, b) = (&report.a.name, &report.b.name);
    let made = report.made.as_ref().map_or(0, |made| made.steps.len());
    if report.same {
        let how = if made > 0 { ", but they were not made of the same" } else { "" };
        return format!("{a} and {b} are the same{how}");
    }
    let sum = |of: fn(&PartDiff) -> usize| report.parts.iter().map(of).sum::<usize>();
    let counts = [
        (made, "step"),
        (report.lock.len(), "locked input"),
        (report.around.len(), "value around the files"),
        (sum(|part| part.packages.len()), "package"),
        (sum(|part| part.files.len()), "file"),
        (sum(|part| part.structures.len()), "structure"),
    ];
    let counts = counts.iter().filter(|(number, _)| *number > 0);
    let counts: Vec<String> = counts
        .map(|(number, what)| match *what {
            "value around the files" if *number > 1 => format!("{number} values around the files"),
            what => count(*number, what),
        })
        .collect();
    format!("{a} and {b} differ: {}", counts.join(", "))
}

struct Page {
    text: String,
    limits: Limits,
}

impl Page {
    fn line(&mut self, indent: usize, line: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{:indent$}{line}", "");
    }

    /// A head and what is below it, if there is anything.
    fn list(&mut self, head: &str, entries: impl Iterator<Item = String>) {
        let mut shown = 0;
        let mut left = 0;
        for entry in entries {
            if shown == self.limits.listed {
                left += 1;
                continue;
            }
            if shown == 0 {
                self.line(0, &format!("\n{head}"));
            }
            self.line(2, &entry);
            shown += 1;
        }
        self.more(left);
    }

    fn more(&mut self, left: usize) {
        if left > 0 {
            self.line(2, &format!("... and {left} more, which --all shows"));
        }
    }

    fn made(&mut self, made: &MadeDiff) {
        let Some(first) = &made.first else { return };
        let head = format!("how they were made: it begins with {first}");
        // What only follows is of interest last.
        let own = made.steps.iter().filter(|step| step.cause != Cause::Follows);
        let follows = made.steps.iter().filter(|step| step.cause == Cause::Follows);
        self.list(&head, own.chain(follows).map(step));
    }

    fn part(&mut self, part: &PartDiff) {
        let of = if part.name.is_empty() { String::new() } else { format!(" of {}", part.name) };
        self.list(&format!("packages{of}"), part.packages.iter().map(change));
        if !part.files.is_empty() {
            self.line(0, &format!("\nfiles{of}"));
        }
        for file in part.files.iter().take(self.limits.listed) {
            self.file(file);
        }
        self.more(part.files.len().saturating_sub(self.limits.listed));
        self.list(&format!("outside of files{of}"), part.structures.iter().map(structure));
    }

    fn file(&mut self, file: &FileDiff) {
        let FileDiff { path, change: how, kind, fields, content } = file;
        match *how {
            "added" | "removed" => {
                let sign = if *how == "added" { '+' } else { '-' };
                let value = |it: &Change| {
                    let value = it.after.as_ref().or(it.before.as_ref());
                    format!("{} {}", it.what, value.map_or("", |it| it.as_str()))
                };
                let facts: Vec<String> = fields.iter().map(value).collect();
                let facts = if facts.is_empty() {
                    String::new()
                } else {
                    format!(", {}", facts.join(", "))
                };
                self.line(2, &format!("{sign} {path}  {kind}{facts}"));
            }
            _ => {
                self.line(2, &format!("~ {path}"));
                fields.iter().for_each(|field| self.line(6, &change_of_field(field)));
            }
        }
        if let Some(content) = content {
            self.content(content);
        }
    }

    fn content(&mut self, content: &ContentDiff) {
        match content {
            ContentDiff::Text { added, removed, unified } => {
                self.line(6, &format!("text: {} added, {removed} removed", count(*added, "line")));
                let lines = unified.lines();
                lines.clone().take(self.limits.lines).for_each(|line| self.line(6, line));
                let left = lines.count().saturating_sub(self.limits.lines);
                if left > 0 {
                    self.line(
                        6,
                        &format!("... and {left} more lines, which --lines or --all shows"),
                    );
                }
            }
            ContentDiff::Elf { sections, build_id, bytes } => {
                self.line(6, &format!("program: {}", bytes_of(bytes)));
                build_id.iter().for_each(|id| self.line(8, &change_of_field(id)));
                for section in sections.iter().take(self.limits.listed) {
                    self.line(8, &section_of(section));
                }
                self.more(sections.len().saturating_sub(self.limits.listed));
            }
            ContentDiff::Bytes(bytes) => {
                let format = bytes.format.unwrap_or("bytes");
                self.line(6, &format!("{format}: {}", bytes_of(bytes)));
                if bytes.first.is_some() {
                    self.line(8, &format!("-{:08x}  {}", bytes.around, spaced(&bytes.before)));
                    self.line(8, &format!("+{:08x}  {}", bytes.around, spaced(&bytes.after)));
                }
                bytes.limit.iter().for_each(|limit| self.line(8, &format!("({limit})")));
            }
        }
    }
}

fn step(step: &StepDiff) -> String {
    let StepDiff { name, kind, cause, fields, follows, .. } = step;
    let renamed =
        fields.iter().find(|field| field.what == "name").and_then(|it| it.before.as_ref());
    let name = renamed.map_or_else(|| name.clone(), |before| format!("{before} -> {name}"));
    let mut line = match cause {
        Cause::Added => format!("+ {kind} {name}"),
        Cause::Removed => format!("- {kind} {name}"),
        Cause::Input => format!("~ {kind} {name}: another file"),
        Cause::Definition => format!("~ {kind} {name}: its recipe differs"),
        Cause::Unfaithful => format!("! {kind} {name}: the same inputs came to something else"),
        Cause::Follows => format!("~ {kind} {name}: because of {}", few(follows)),
        Cause::Unknown => format!("~ {kind} {name}: another key"),
    };
    if step.output[0].is_some() && step.output[0] == step.output[1] {
        line += ", but it came out the same";
    }
    // Of a fetched file only the digest could be told, which says nothing to a person.
    for field in fields.iter().filter(|it| it.what != "name" && *cause != Cause::Input) {
        // Writing to a String cannot fail.
        let _ = write!(line, "\n      {}", change_of_field(field));
    }
    line
}

/// The first few of some names.
fn few(names: &[String]) -> String {
    const MOST: usize = 4;
    let mut words: Vec<String> = names.iter().take(MOST).cloned().collect();
    if names.len() > MOST {
        words.push(format!("{} more", names.len() - MOST));
    }
    words.join(", ")
}

/// One line with the sign of what happened.
fn change(change: &Change) -> String {
    let sign = match (&change.before, &change.after) {
        (None, Some(_)) => '+',
        (Some(_), None) => '-',
        _ => '~',
    };
    format!("{sign} {}", change_of_field(change))
}

fn change_of_field(change: &Change) -> String {
    let what = &change.what;
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{what}: {} -> {}", short(before), short(after)),
        (None, Some(after)) => format!("{what}: {} is new", short(after)),
        (Some(before), None) => format!("{what}: {} is gone", short(before)),
        (None, None) => format!("{what} differs"),
    }
}

/// A value in one line that does nothing to a terminal, cut where it is too long.
fn short(value: &str) -> String {
    let plain =
        |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let line: String = value.chars().map(plain).collect();
    match line.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn bytes_of(bytes: &BytesDiff) -> String {
    let [before, after] = bytes.size;
    let sizes = match before == after {
        true => size(after),
        false => format!("{} -> {}", size(before), size(after)),
    };
    match bytes.first {
        Some(first) => format!("{sizes}, {}", differing(bytes.count, first)),
        None => format!("{sizes}, the shorter one is the beginning of the longer one"),
    }
}

fn differing(number: u64, first: u64) -> String {
    match number {
        1 => format!("1 byte differs, at {first:#x}"),
        _ => format!("{number} bytes differ, the first at {first:#x}"),
    }
}

/// Hexadecimal digits in groups of a byte.
fn spaced(hex: &str) -> String {
    let pairs: Vec<&str> = (0..hex.len()).step_by(2).filter_map(|at| hex.get(at..at + 2)).collect();
    pairs.join(" ")
}

fn section_of(section: &SectionDiff) -> String {
    let SectionDiff { name, size, count, first, fields } = section;
    let mut words = match size {
        [None, Some(new)] => vec![format!("new, {new} bytes")],
        [Some(old), None] => vec![format!("gone, {old} bytes")],
        [Some(old), Some(new)] if old != new => vec![format!("{old} -> {new} bytes")],
        _ => Vec::new(),
    };
    words.extend(first.map(|first| differing(*count, first)));
    words.extend(fields.iter().map(change_of_field));
    format!("{name}: {}", words.join(", "))
}

fn structure(diff: &StructureDiff) -> String {
    let mut line = diff.structure.to_owned();
    // Writing to a String cannot fail.
    if let Some(number) = diff.number {
        let _ = write!(line, " {number}");
    }
    if let Some(path) = &diff.path {
        let _ = write!(line, " ({path})");
    }
    let differs = differing(diff.count, diff.first);
    let _ = match (&diff.field, &diff.before, &diff.after) {
        (Some(field), Some(before), Some(after)) => {
            let values = format!("{field}: {} -> {}", short(before), short(after));
            // A bitmap has a bit for many things, and only the first is named.
            match diff.structure.ends_with("bitmap") {
                true => write!(line, ", {values} ({differs})"),
                false => write!(line, ", {values}"),
            }
        }
        _ => write!(line, ": {differs}"),
    };
    line
}
