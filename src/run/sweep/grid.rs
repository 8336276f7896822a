use toml::{Table, Value};

use super::Sweep;

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The function that it calls.
    pub function: String,
    /// What the grid chose, in the grid's order.
    pub values: Vec<(String, Value)>,
    /// The machine.
    pub machine: Table,
}

/// All points: function by function, and of the grid's keys the last changes fastest.
pub fn points(sweep: &Sweep) -> Vec<Point> {
    let mut choices: Vec<Vec<(String, Value)>> = vec![Vec::new()];
    for (key, values) in &sweep.grid {
        let longer = |choice: &Vec<(String, Value)>| {
            let choice = choice.clone();
            values
                .iter()
                .map(move |value| {
                    choice.iter().cloned().chain([(key.clone(), value.clone())]).collect()
                })
                .collect::<Vec<_>>()
        };
        choices = choices.iter().flat_map(longer).collect();
    }
    let point = |function: &String, values: &Vec<(String, Value)>| {
        let mut machine = sweep.machine.clone();
        for (key, value) in values {
            set(&mut machine, key, value.clone());
        }
        Point { function: function.clone(), values: values.clone(), machine }
    };
    let functions = sweep.functions.iter();
    functions
        .flat_map(|function| choices.iter().map(move |values| point(function, values)))
        .collect()
}

impl Point {
    /// What the grid chose, for a person: `caches.l2.size=1MiB clock=2GHz`.
    pub fn place(&self) -> String {
        let word = |(key, value): &(String, Value)| format!("{key}={}", plain(value));
        self.values.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// The machine as a file.
    pub fn machine_toml(&self) -> String {
        self.machine.to_string()
    }
}

/// Sets a dotted key. What is in its way and no table is replaced.
pub(super) fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

/// A value without the quotes of TOML.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep() -> Sweep {
        let text = "image = \"i\"\nfunctions = [\"f\", \"e\"]\n[machine]\npreset = \"simple\"\n\
                    caches.l2.assoc = 8\n[grid]\n\"caches.l2.size\" = [\"1MiB\", \"2MiB\"]\n\
                    cores = [2, 4]\n";
        Sweep::parse(text, &|_| Ok(())).unwrap()
    }

    #[test]
    fn the_product_is_in_a_fixed_order() {
        let names: Vec<_> =
            points(&sweep()).iter().map(|p| format!("{} {}", p.function, p.place())).collect();
        assert_eq!(
            names,
            [
                "f caches.l2.size=1MiB cores=2",
                "f caches.l2.size=1MiB cores=4",
                "f caches.l2.size=2MiB cores=2",
                "f caches.l2.size=2MiB cores=4",
                "e caches.l2.size=1MiB cores=2",
                "e caches.l2.size=1MiB cores=4",
                "e caches.l2.size=2MiB cores=2",
                "e caches.l2.size=2MiB cores=4",
            ]
        );
    }

    #[test]
    fn a_points_machine_is_the_common_one_with_its_own_values() {
        let machine: Table = points(&sweep())[3].machine_toml().parse().unwrap();
        assert_eq!(machine["preset"].as_str(), Some("simple"));
        assert_eq!(machine["cores"].as_integer(), Some(4));
        assert_eq!(machine["caches"]["l2"]["size"].as_str(), Some("2MiB"));
        assert_eq!(machine["caches"]["l2"]["assoc"].as_integer(), Some(8));
    }

    #[test]
    fn without_a_grid_there_is_one_point_a_function() {
        let sweep = Sweep { grid: Vec::new(), ..sweep() };
        assert_eq!(points(&sweep).len(), 2);
    }
}
