use crate::{Dialect, TokenKind, tokens};

/// What one level of parentheses counts for. A parser that descends recursively goes through
/// every precedence of an expression for it, where an operator of a chain takes one or two calls.
const PARENTHESES_COST: usize = 20;

/// How deep the syntax tree of a text can be, at most: the tokens since the last comma or
/// semicolon, on every level of parentheses that is open, with each level itself. A chain such as
/// `a OR b OR c` is as deep as it is long.
pub fn syntax_depth(dialect: Dialect, sql: &str) -> usize {
    // The length of the chain on each open level, the innermost last.
    let mut chains = vec![0_usize];
    let (mut all_chains, mut deepest) = (0_usize, 0_usize);
    for token in tokens(dialect, sql) {
        match token.kind {
            TokenKind::Whitespace | TokenKind::Comment => continue,
            TokenKind::Open => chains.push(0),
            TokenKind::Comma | TokenKind::Semicolon => {
                all_chains -= chains.last_mut().map(std::mem::take).unwrap_or_default();
            }
            TokenKind::Close => {
                if chains.len() > 1 {
                    all_chains -= chains.pop().unwrap_or_default();
                }
                all_chains += lengthen(&mut chains);
            }
            _ => all_chains += lengthen(&mut chains),
        }
        deepest = deepest.max(all_chains + (chains.len() - 1) * PARENTHESES_COST);
    }
    deepest
}

fn lengthen(chains: &mut [usize]) -> usize {
    let Some(chain) = chains.last_mut() else { return 0 };
    *chain += 1;
    1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_text::any_sql;

    #[test]
    fn nesting_and_chains_are_deep_and_lists_are_not() {
        let depth = |sql: &str| syntax_depth(Dialect::Postgres, sql);
        let flat = format!("insert into a values {}", "(1, 'a'), ".repeat(10_000));
        assert!(depth(&flat) < 100, "{}", depth(&flat));
        assert!(depth(&"select 1;".repeat(10_000)) < 100);
        for deep in [
            format!("select {}1", "(".repeat(1_000)),
            format!("select {}1", "(select ".repeat(1_000)),
            format!("select {}1", "(1, ".repeat(1_000)),
            format!("select 1{}", " or 1".repeat(1_000)),
            format!("select {}1", "- ".repeat(1_000)),
            format!("select a{}", "[1]".repeat(1_000)),
            format!("select {}1", "case when ".repeat(1_000)),
        ] {
            assert!(depth(&deep) >= 1_000, "{}", &deep[..20]);
        }
        let function = format!("create function f() as $${}$$", "(".repeat(10_000));
        assert!(depth(&function) < 100);
    }

    proptest! {
        #[test]
        fn every_text_has_a_depth(sql in any_sql()) {
            for dialect in Dialect::ALL {
                let count = tokens(dialect, &sql).count();
                prop_assert!(syntax_depth(dialect, &sql) <= count * PARENTHESES_COST);
            }
        }
    }
}
