/// A value with the statement of a plan that it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Located<T> {
    /// The index of the body in the plan, from 0.
    pub step: usize,
    /// The line of the body, from 1.
    pub line: usize,
    /// The value.
    pub value: T,
}

impl<T> Located<T> {
    /// Another value about the same statement.
    pub const fn with<U>(&self, value: U) -> Located<U> {
        Located { step: self.step, line: self.line, value }
    }
}
