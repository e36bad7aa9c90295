//! A promise against the live catalog: what is missing, what is degraded, what is extra.

use sql::Dialect;

use super::{Catalog, Column, Index, Table, spelling::same_type};

/// How a live catalog differs from a promise, in words for whoever has to mend it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Drift {
    /// What a service breaks on: tables, columns, types, nullability, uniqueness.
    pub missing: Vec<String>,
    /// What a service runs on without, slower or less safely.
    pub degraded: Vec<String>,
    /// What nobody promised. Harmless.
    pub extra: Vec<String>,
}

impl Drift {
    /// Everything that was promised and is not so.
    pub fn differences(&self) -> impl Iterator<Item = &str> {
        self.missing.iter().chain(&self.degraded).map(String::as_str)
    }

    fn missing(&mut self, what: impl Into<String>) {
        self.missing.push(what.into());
    }

    fn degraded(&mut self, what: impl Into<String>) {
        self.degraded.push(what.into());
    }

    fn extra(&mut self, what: impl Into<String>) {
        self.extra.push(what.into());
    }
}

/// Holds the live catalog against a promise. Spellings that mean the same are no difference.
pub fn compare(promised: &Catalog, live: &Catalog) -> Drift {
    let mut drift = Drift::default();
    enums(promised, live, &mut drift);
    for (name, table) in &promised.tables {
        match live.tables.get(name) {
            Some(found) => compare_table(promised.dialect, name, table, found, &mut drift),
            None => drift.missing(format!("table {name} is missing")),
        }
    }
    for name in live.tables.keys().filter(|name| !promised.tables.contains_key(*name)) {
        drift.extra(format!("table {name}"));
    }
    routines(promised, live, &mut drift);
    drift
}

fn enums(promised: &Catalog, live: &Catalog, drift: &mut Drift) {
    for (name, labels) in &promised.enums {
        let Some(found) = live.enums.get(name) else {
            drift.missing(format!("type {name} is missing"));
            continue;
        };
        for label in labels.iter().filter(|label| !found.contains(label)) {
            drift.missing(format!("type {name} lacks the label '{label}'"));
        }
        for label in found.iter().filter(|label| !labels.contains(label)) {
            drift.extra(format!("label '{label}' of type {name}"));
        }
        let held = |label: &&String| labels.contains(label) && found.contains(label);
        if !labels.iter().filter(held).eq(found.iter().filter(held)) {
            drift.degraded(format!("type {name} sorts its labels differently"));
        }
    }
    for name in live.enums.keys().filter(|name| !promised.enums.contains_key(*name)) {
        drift.extra(format!("type {name}"));
    }
}

/// Views are read like tables, and functions are called: a service breaks without them.
fn routines(promised: &Catalog, live: &Catalog, drift: &mut Drift) {
    let kinds = [
        ("view", &promised.views, &live.views),
        ("function", &promised.functions, &live.functions),
    ];
    for (kind, promised, live) in kinds {
        for (name, is) in promised {
            match live.get(name) {
                Some(found) if found == is => {}
                Some(found) => drift.missing(format!("{kind} {name} is {found}, not {is}")),
                None => drift.missing(format!("{kind} {name} is missing")),
            }
        }
        for name in live.keys().filter(|name| !promised.contains_key(*name)) {
            drift.extra(format!("{kind} {name}"));
        }
    }
}

fn compare_table(dialect: Dialect, table: &str, promised: &Table, live: &Table, drift: &mut Drift) {
    for (name, column) in &promised.columns {
        match live.columns.get(name) {
            Some(found) => {
                compare_column(dialect, &format!("{table}.{name}"), column, found, drift)
            }
            None => drift.missing(format!("{table}.{name} is missing")),
        }
    }
    for (name, column) in &live.columns {
        if promised.columns.contains_key(name) {
            continue;
        }
        // Nobody who was promised this table gives a value for it: every insert fails.
        if column.not_null && column.default.is_none() {
            drift.missing(format!(
                "{table}.{name} is promised by no revision, and not null without a default: \
                 inserts into {table} fail"
            ));
        } else {
            drift.extra(format!("column {table}.{name}"));
        }
    }
    constraints(table, promised, live, drift);
    indexes(table, promised, live, drift);
    for (name, does) in &promised.triggers {
        match live.triggers.get(name) {
            Some(found) if found == does => {}
            Some(_) => drift.degraded(format!("trigger {name} on {table} does something else")),
            None => drift.degraded(format!("trigger {name} on {table} is missing or disabled")),
        }
    }
    for name in live.triggers.keys().filter(|name| !promised.triggers.contains_key(*name)) {
        drift.extra(format!("trigger {name} on {table}"));
    }
}

fn compare_column(
    dialect: Dialect,
    name: &str,
    promised: &Column,
    live: &Column,
    drift: &mut Drift,
) {
    if !same_type(dialect, &promised.type_, &live.type_) {
        drift.missing(format!("{name} is {}, not {}", live.type_, promised.type_));
    }
    match (promised.not_null, live.not_null) {
        (true, false) => drift.missing(format!("{name} is nullable, and was promised not null")),
        (false, true) => drift.missing(format!("{name} is not null, and was promised nullable")),
        _ => {}
    }
    match (&promised.default, &live.default) {
        (promised, live) if promised == live => {}
        (Some(promised), Some(live)) => {
            drift.degraded(format!("{name} has {live}, not {promised}"))
        }
        (Some(promised), None) => drift.degraded(format!("{name} has no {promised}")),
        (None, Some(live)) => drift.extra(format!("{live} of {name}")),
        (None, None) => {}
    }
}

fn is_unique(constraint: &str) -> bool {
    constraint.starts_with("primary key ") || constraint.starts_with("unique ")
}

fn constraints(table: &str, promised: &Table, live: &Table, drift: &mut Drift) {
    for constraint in promised.constraints.keys() {
        match live.constraints.get(constraint) {
            Some(true) => {}
            Some(false) => drift.degraded(format!("{constraint} on {table} is not validated")),
            None if is_unique(constraint) => {
                drift.missing(format!("{constraint} on {table} is missing"));
            }
            None => drift.degraded(format!("{constraint} on {table} is missing")),
        }
    }
    for constraint in live.constraints.keys() {
        if !promised.constraints.contains_key(constraint) {
            drift.extra(format!("{constraint} on {table}"));
        }
    }
}

fn indexes(table: &str, promised: &Table, live: &Table, drift: &mut Drift) {
    for (name, index) in &promised.indexes {
        let what = match live.indexes.get(name) {
            None => format!("index {name} is missing"),
            Some(found) if !found.valid => format!("index {name} is INVALID"),
            Some(found) if found != index => {
                format!("index {name} is {}, not {}", words(found), words(index))
            }
            Some(_) => continue,
        };
        if index.unique && !guarded(live, &index.definition) {
            drift.missing(what);
        } else {
            drift.degraded(what);
        }
    }
    for (name, index) in &live.indexes {
        if !promised.indexes.contains_key(name) {
            let invalid = if index.valid { "" } else { ", which is INVALID" };
            drift.extra(format!("index {name} on {table}{invalid}"));
        }
    }
}

/// Whether something else refuses the duplicates that a unique index was to refuse.
fn guarded(live: &Table, definition: &str) -> bool {
    let by_constraint = |is: &str| live.constraints.contains_key(&format!("{is} {definition}"));
    let same = |index: &Index| index.unique && index.valid && index.definition == definition;
    by_constraint("unique") || by_constraint("primary key") || live.indexes.values().any(same)
}

fn words(index: &Index) -> String {
    format!("{}{}", if index.unique { "unique " } else { "" }, index.definition)
}
