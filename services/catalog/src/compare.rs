//! Comparing an expected catalog with the live one. Spellings that mean the same do not differ.

use std::collections::BTreeMap;

use sql::Dialect;

use crate::{
    difference::{Deviation, Drift, Object},
    model::{Catalog, Column, Index, Table},
    spelling::same_type,
};

/// Lists how the live catalog differs from the expected one.
pub fn compare(expected: &Catalog, live: &Catalog) -> Drift {
    let mut drift = Drift::default();
    compare_enums(expected, live, &mut drift);
    for (name, table) in &expected.tables {
        match live.tables.get(name) {
            Some(found) => compare_tables(expected.dialect, name, table, found, &mut drift),
            None => drift.missing(Object::Table(name.clone()), Deviation::Missing),
        }
    }
    for name in live.tables.keys().filter(|name| !expected.tables.contains_key(*name)) {
        drift.extra(Object::Table(name.clone()), Deviation::Unexpected);
    }
    compare_routines(&expected.views, &live.views, Object::View, &mut drift);
    compare_routines(&expected.functions, &live.functions, Object::Function, &mut drift);
    drift
}

fn compare_enums(expected: &Catalog, live: &Catalog, drift: &mut Drift) {
    for (name, labels) in &expected.enums {
        let Some(found) = live.enums.get(name) else {
            drift.missing(Object::Enum(name.clone()), Deviation::Missing);
            continue;
        };
        let object = |label: &String| Object::Label { of: name.clone(), label: label.clone() };
        for label in labels.iter().filter(|label| !found.contains(label)) {
            drift.missing(object(label), Deviation::Missing);
        }
        for label in found.iter().filter(|label| !labels.contains(label)) {
            drift.extra(object(label), Deviation::Unexpected);
        }
        let in_both = |label: &&String| labels.contains(label) && found.contains(label);
        if !labels.iter().filter(in_both).eq(found.iter().filter(in_both)) {
            drift.degraded(Object::Enum(name.clone()), Deviation::LabelOrder);
        }
    }
    for name in live.enums.keys().filter(|name| !expected.enums.contains_key(*name)) {
        drift.extra(Object::Enum(name.clone()), Deviation::Unexpected);
    }
}

/// Views are read like tables, and functions are called: a service fails without them.
fn compare_routines(
    expected: &BTreeMap<String, String>,
    live: &BTreeMap<String, String>,
    object: impl Fn(String) -> Object,
    drift: &mut Drift,
) {
    for (name, definition) in expected {
        match live.get(name) {
            Some(found) if found == definition => {}
            Some(found) => drift.missing(object(name.clone()), differs(definition, found)),
            None => drift.missing(object(name.clone()), Deviation::Missing),
        }
    }
    for name in live.keys().filter(|name| !expected.contains_key(*name)) {
        drift.extra(object(name.clone()), Deviation::Unexpected);
    }
}

fn differs(expected: &str, found: &str) -> Deviation {
    Deviation::Definition { expected: expected.into(), found: found.into() }
}

fn compare_tables(
    dialect: Dialect,
    table: &str,
    expected: &Table,
    live: &Table,
    drift: &mut Drift,
) {
    let object = |name: &String| Object::Column { table: table.into(), name: name.clone() };
    for (name, column) in &expected.columns {
        match live.columns.get(name) {
            Some(found) => compare_columns(dialect, &object(name), column, found, drift),
            None => drift.missing(object(name), Deviation::Missing),
        }
    }
    for (name, column) in &live.columns {
        if expected.columns.contains_key(name) {
            continue;
        }
        // A service that expects this table gives no value for the column: every insert fails.
        if column.not_null && column.default.is_none() {
            drift.missing(object(name), Deviation::UnexpectedNotNull);
        } else {
            drift.extra(object(name), Deviation::Unexpected);
        }
    }
    compare_constraints(table, expected, live, drift);
    compare_indexes(table, expected, live, drift);
    compare_triggers(table, expected, live, drift);
}

fn compare_columns(
    dialect: Dialect,
    object: &Object,
    expected: &Column,
    live: &Column,
    drift: &mut Drift,
) {
    if !same_type(dialect, &expected.type_, &live.type_) {
        drift.missing(object.clone(), differs(&expected.type_, &live.type_));
    }
    if expected.not_null != live.not_null {
        let not_null = expected.not_null;
        drift.missing(object.clone(), Deviation::Nullability { not_null });
    }
    if expected.default != live.default {
        let (expected, found) = (expected.default.clone(), live.default.clone());
        if expected.is_some() {
            drift.degraded(object.clone(), Deviation::Default { expected, found });
        } else {
            drift.extra(object.clone(), Deviation::Default { expected, found });
        }
    }
}

fn is_unique(constraint: &str) -> bool {
    constraint.starts_with("primary key ") || constraint.starts_with("unique ")
}

fn compare_constraints(table: &str, expected: &Table, live: &Table, drift: &mut Drift) {
    let object = |definition: &String| Object::Constraint {
        table: table.into(),
        definition: definition.clone(),
    };
    for constraint in expected.constraints.keys() {
        match live.constraints.get(constraint) {
            Some(true) => {}
            Some(false) => drift.degraded(object(constraint), Deviation::NotValidated),
            None if is_unique(constraint) => drift.missing(object(constraint), Deviation::Missing),
            None => drift.degraded(object(constraint), Deviation::Missing),
        }
    }
    for constraint in live.constraints.keys() {
        if !expected.constraints.contains_key(constraint) {
            drift.extra(object(constraint), Deviation::Unexpected);
        }
    }
}

fn compare_indexes(table: &str, expected: &Table, live: &Table, drift: &mut Drift) {
    let object = |name: &String| Object::Index { table: table.into(), name: name.clone() };
    for (name, index) in &expected.indexes {
        let deviation = match live.indexes.get(name) {
            None => Deviation::Missing,
            Some(found) if !found.valid => Deviation::Invalid,
            Some(found) if found != index => differs(&definition(index), &definition(found)),
            Some(_) => continue,
        };
        if index.unique && !refuses_duplicates(live, &index.definition) {
            drift.missing(object(name), deviation);
        } else {
            drift.degraded(object(name), deviation);
        }
    }
    for (name, index) in &live.indexes {
        if !expected.indexes.contains_key(name) {
            let valid = index.valid;
            let deviation = if valid { Deviation::Unexpected } else { Deviation::Invalid };
            drift.extra(object(name), deviation);
        }
    }
}

/// Whether something else refuses the duplicates that a unique index was to refuse.
fn refuses_duplicates(live: &Table, definition: &str) -> bool {
    let by_constraint = |kind: &str| live.constraints.contains_key(&format!("{kind} {definition}"));
    let same = |index: &Index| index.unique && index.valid && index.definition == definition;
    by_constraint("unique") || by_constraint("primary key") || live.indexes.values().any(same)
}

fn definition(index: &Index) -> String {
    format!("{}{}", if index.unique { "unique " } else { "" }, index.definition)
}

fn compare_triggers(table: &str, expected: &Table, live: &Table, drift: &mut Drift) {
    let object = |name: &String| Object::Trigger { table: table.into(), name: name.clone() };
    for (name, definition) in &expected.triggers {
        match live.triggers.get(name) {
            Some(found) if found == definition => {}
            Some(found) => drift.degraded(object(name), differs(definition, found)),
            None => drift.degraded(object(name), Deviation::Missing),
        }
    }
    for name in live.triggers.keys().filter(|name| !expected.triggers.contains_key(*name)) {
        drift.extra(object(name), Deviation::Unexpected);
    }
}
