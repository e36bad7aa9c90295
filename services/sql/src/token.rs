//! The lexer: it cuts a text into tokens by the rules of PostgreSQL's `scan.l` (with
//! `standard_conforming_strings` on) or of SQLite's `tokenize.c`, in one pass and without losing a
//! byte. It judges nothing: what neither server would accept is a token too.

use crate::Dialect;

/// What a token is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenKind {
    /// White space, and a byte order mark where the server skips it.
    Whitespace,
    /// A comment: `-- ..` without its line end, or `/* .. */`.
    Comment,
    /// A key word or an unquoted identifier.
    Word,
    /// An identifier in quotes: `"a"`, and on SQLite `[a]` and `` `a` ``.
    QuotedIdentifier,
    /// A literal in quotes: `'a'`, `E'a'`, `x'00'`, `$$a$$`.
    String,
    /// A number, with the letters and digits that follow it directly.
    Number,
    /// `;`
    Semicolon,
    /// `(` or `[`
    Open,
    /// `)` or `]`
    Close,
    /// `,`
    Comma,
    /// One character of an operator, or any other one.
    Symbol,
}

impl TokenKind {
    /// Whether it is white space or a comment.
    pub const fn is_blank(self) -> bool {
        matches!(self, Self::Whitespace | Self::Comment)
    }
}

/// One token of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// Its text, quotes included.
    pub text: &'a str,
    /// Where it begins in the whole text, in bytes.
    pub offset: usize,
}

impl Token<'_> {
    /// Where it ends in the whole text, in bytes.
    pub const fn end(&self) -> usize {
        self.offset + self.text.len()
    }

    /// Whether it is this key word, given in upper case.
    pub fn is_word(&self, upper_case: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(upper_case)
    }
}

/// The tokens of a text, in order. Put together, they are the text.
pub fn tokens(dialect: Dialect, sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = sql.get(offset..).filter(|rest| !rest.is_empty())?;
        let (kind, len) = Scanner { dialect, bytes: rest.as_bytes(), at_start: offset == 0 }.next();
        // Every rule ends at an ASCII byte or at the end, hence at the border of a character.
        let text = &rest[..len];
        let token = Token { kind, text, offset };
        offset += len;
        Some(token)
    })
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

struct Scanner<'a> {
    dialect: Dialect,
    /// The text from the token on; never empty.
    bytes: &'a [u8],
    at_start: bool,
}

impl Scanner<'_> {
    fn next(&self) -> (TokenKind, usize) {
        let postgres = self.dialect == Dialect::Postgres;
        match self.bytes[0] {
            _ if self.blank(0) > 0 => (TokenKind::Whitespace, self.blanks(0)),
            b'-' if self.byte(1) == b'-' => (TokenKind::Comment, self.line_comment(0)),
            b'/' if self.byte(1) == b'*' => (TokenKind::Comment, self.block_comment()),
            b'\'' => (TokenKind::String, self.quoted(0, b'\'')),
            b'"' => (TokenKind::QuotedIdentifier, self.quoted(0, b'"')),
            b'`' if !postgres => (TokenKind::QuotedIdentifier, self.quoted(0, b'`')),
            b'[' if !postgres => (TokenKind::QuotedIdentifier, self.through(1, b"]")),
            b'e' | b'E' if postgres && self.byte(1) == b'\'' => {
                (TokenKind::String, self.escape_string())
            }
            b'u' | b'U' if postgres && self.byte(1) == b'&' && self.byte(2) == b'\'' => {
                (TokenKind::String, self.quoted(2, b'\''))
            }
            b'u' | b'U' if postgres && self.byte(1) == b'&' && self.byte(2) == b'"' => {
                (TokenKind::QuotedIdentifier, self.quoted(2, b'"'))
            }
            b'b' | b'B' | b'n' | b'N' | b'x' | b'X'
                if (postgres || self.bytes[0].eq_ignore_ascii_case(&b'x'))
                    && self.byte(1) == b'\'' =>
            {
                (TokenKind::String, self.quoted(1, b'\''))
            }
            b'$' if postgres => match self.dollar_tag() {
                Some(tag) => (TokenKind::String, self.through(tag, &self.bytes[..tag])),
                None => (TokenKind::Symbol, 1),
            },
            byte if is_word_start(byte) => (TokenKind::Word, self.while_word(1)),
            byte if byte.is_ascii_digit() => (TokenKind::Number, self.number()),
            b';' => (TokenKind::Semicolon, 1),
            b'(' | b'[' => (TokenKind::Open, 1),
            b')' | b']' => (TokenKind::Close, 1),
            b',' => (TokenKind::Comma, 1),
            _ => (TokenKind::Symbol, 1),
        }
    }

    /// The byte at a place; NUL behind the end.
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    /// The length of the white space character at a place; zero if there is none.
    fn blank(&self, at: usize) -> usize {
        let byte_order_mark = self.bytes[at..].starts_with(BYTE_ORDER_MARK);
        match (self.dialect, self.byte(at)) {
            (_, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c') if at < self.bytes.len() => 1,
            (Dialect::Postgres, b'\x0b') => 1,
            // PostgreSQL's clients skip it at the beginning of a file, SQLite does everywhere.
            _ if byte_order_mark
                && (self.at_start && at == 0 || self.dialect == Dialect::Sqlite) =>
            {
                BYTE_ORDER_MARK.len()
            }
            _ => 0,
        }
    }

    fn blanks(&self, mut at: usize) -> usize {
        while at < self.bytes.len() {
            match self.blank(at) {
                0 => break,
                len => at += len,
            }
        }
        at
    }

    /// The end of a line comment; its line end is not part of it.
    fn line_comment(&self, at: usize) -> usize {
        let ends =
            |byte: &u8| *byte == b'\n' || (*byte == b'\r' && self.dialect == Dialect::Postgres);
        self.bytes[at..].iter().position(ends).map_or(self.bytes.len(), |len| at + len)
    }

    /// PostgreSQL's block comments nest, SQLite's do not.
    fn block_comment(&self) -> usize {
        let (mut depth, mut at) = (1_usize, 2);
        while at < self.bytes.len() {
            match (self.byte(at), self.byte(at + 1)) {
                (b'*', b'/') => {
                    at += 2;
                    depth -= 1;
                    if depth == 0 {
                        return at;
                    }
                }
                (b'/', b'*') if self.dialect == Dialect::Postgres => {
                    at += 2;
                    depth += 1;
                }
                _ => at += 1,
            }
        }
        self.bytes.len()
    }

    /// The end of a quoted run whose opening quote is at `open`; a doubled quote is part of it.
    fn quoted(&self, open: usize, quote: u8) -> usize {
        let mut at = open + 1;
        while at < self.bytes.len() {
            if self.byte(at) != quote {
                at += 1;
            } else if self.byte(at + 1) == quote {
                at += 2;
            } else {
                return at + 1;
            }
        }
        self.bytes.len()
    }

    /// `E'..'`: a backslash takes the next byte along, and behind a line end the literal may be
    /// continued by the same rules.
    fn escape_string(&self) -> usize {
        let mut at = 2;
        while at < self.bytes.len() {
            match self.byte(at) {
                b'\\' => at += 2,
                b'\'' if self.byte(at + 1) == b'\'' => at += 2,
                b'\'' => match self.continued(at + 1) {
                    Some(open) => at = open + 1,
                    None => return at + 1,
                },
                _ => at += 1,
            }
        }
        self.bytes.len()
    }

    /// The quote that continues a literal: behind blanks and line comments with a line end.
    fn continued(&self, mut at: usize) -> Option<usize> {
        let mut has_line_end = false;
        loop {
            match self.byte(at) {
                b'\n' | b'\r' => has_line_end = true,
                b' ' | b'\t' | b'\x0b' | b'\x0c' => {}
                b'-' if self.byte(at + 1) == b'-' => {
                    at = self.line_comment(at);
                    continue;
                }
                b'\'' if has_line_end => return Some(at),
                _ => return None,
            }
            at += 1;
        }
    }

    /// The length of the `$tag$` at the beginning.
    fn dollar_tag(&self) -> Option<usize> {
        let mut at = 1;
        if is_word_start(self.byte(at)) {
            while is_word_part(self.byte(at)) && self.byte(at) != b'$' {
                at += 1;
            }
        }
        (self.byte(at) == b'$').then_some(at + 1)
    }

    /// Behind the next `close` from `at` on.
    fn through(&self, at: usize, close: &[u8]) -> usize {
        let mut windows = self.bytes[at..].windows(close.len());
        windows
            .position(|window| window == close)
            .map_or(self.bytes.len(), |len| at + len + close.len())
    }

    fn while_word(&self, mut at: usize) -> usize {
        while is_word_part(self.byte(at)) {
            at += 1;
        }
        at
    }

    /// A `$` behind a number is not part of it: `1$$` begins a dollar quote.
    fn number(&self) -> usize {
        let mut at = 1;
        while matches!(self.byte(at), b'.' | b'_') || self.byte(at).is_ascii_alphanumeric() {
            at += 1;
        }
        at
    }
}

const fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

const fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests;
