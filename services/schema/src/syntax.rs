//! Names and texts in squawk's syntax tree, for the engine and for plans.

use sql::Name;
use squawk_syntax::{
    SyntaxNode,
    ast::{self, AstNode},
};

/// The name that a node holds.
pub fn name_of(node: Option<impl AstNode>) -> Option<Name> {
    node?.syntax().descendants().find_map(|node| {
        let (qualifier, name) = match ast::PathRef::cast(node.clone()) {
            Some(path) => (path.qualifier(), path.segment()?.text()),
            None => {
                let path = ast::Path::cast(node)?;
                (path.qualifier(), path.segment()?.text())
            }
        };
        let schema = qualifier.and_then(|schema| Some(schema.segment()?.text()));
        Some(Name { schema, name })
    })
}

/// The text of a node, without what stands around it.
pub fn text(node: &SyntaxNode) -> String {
    node.text().to_string().trim().to_owned()
}
