/// Where the lines of a text begin, to find the line of many positions.
#[derive(Clone, Debug)]
pub struct LineIndex {
    /// The position behind each line end.
    starts: Vec<usize>,
}

impl LineIndex {
    /// Reads a text once.
    pub fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { starts: ends.map(|(at, _)| at + 1).collect() }
    }

    /// The line, from 1, of a byte of the text.
    pub fn line_of(&self, offset: usize) -> usize {
        1 + self.starts.partition_point(|start| *start <= offset)
    }
}

/// The line, from 1, of one byte of a text. For many of one text there is [`LineIndex`].
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_the_same_line() {
        let text = "a\n\nbc\n";
        let lines = LineIndex::new(text);
        let found: Vec<_> = (0..=text.len()).map(|at| lines.line_of(at)).collect();
        assert_eq!(found, [1, 1, 2, 3, 3, 3, 4]);
        assert!((0..=text.len()).all(|at| line_of(text, at) == lines.line_of(at)));
    }
}
