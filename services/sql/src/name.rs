use std::fmt;

/// The name of a relation as a statement writes it, with or without its schema. Both parts are
/// spelled as the database compares them: without quotes, unquoted ones in lower case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name {
    /// The schema, where the statement gives one.
    pub schema: Option<String>,
    /// The name within the schema.
    pub name: String,
}

impl Name {
    /// Another name in the same schema.
    pub fn sibling(&self, name: String) -> Self {
        Self { schema: self.schema.clone(), name }
    }

    /// Removes the schema if it is `default_schema`, where unqualified names are looked up anyway.
    pub fn strip_schema(&mut self, default_schema: &str) {
        self.schema.take_if(|schema| schema == default_schema);
    }

    /// The name as SQL, each part in double quotes.
    pub fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&self.name)),
            None => quote(&self.name),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// An identifier in double quotes.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
