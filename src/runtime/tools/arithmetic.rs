//! `$((…))`: whole numbers, the operators of C that scripts use, and variables by name.

/// The value, or what is wrong. Names are read through `lookup`; an unset one is 0.
pub(super) fn evaluate(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<i64, String> {
    let mut reader = Reader { rest: text.trim(), lookup, depth: 0 };
    let value = reader.expression(0)?;
    match reader.rest.trim() {
        "" => Ok(value),
        rest => Err(format!("arithmetic: cannot read {rest:?}")),
    }
}

/// Nesting of parentheses and signs at most.
const DEPTH: usize = 64;

/// Operators by how tightly they bind; longer ones first.
const OPERATORS: [(&str, u8); 14] = [
    ("||", 1),
    ("&&", 2),
    ("==", 3),
    ("!=", 3),
    ("<=", 4),
    (">=", 4),
    ("<<", 5),
    (">>", 5),
    ("<", 4),
    (">", 4),
    ("+", 6),
    ("-", 6),
    ("*", 7),
    ("/", 7),
];

struct Reader<'a> {
    rest: &'a str,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    depth: usize,
}

impl Reader<'_> {
    fn operator(&self) -> Option<(&'static str, u8)> {
        let known = OPERATORS.iter().chain(&[("%", 7)]);
        known.copied().find(|(operator, _)| self.rest.starts_with(operator))
    }

    fn expression(&mut self, tightness: u8) -> Result<i64, String> {
        let mut left = self.operand()?;
        loop {
            self.rest = self.rest.trim_start();
            let Some((operator, binds)) = self.operator().filter(|(_, binds)| *binds > tightness) else {
                return Ok(left);
            };
            self.rest = self.rest.get(operator.len()..).unwrap_or_default();
            let right = self.expression(binds)?;
            left = apply(operator, left, right)?;
        }
    }

    fn operand(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("arithmetic: nested too deeply".to_owned());
        }
        let value = self.operand_here();
        self.depth -= 1;
        value
    }

    fn operand_here(&mut self) -> Result<i64, String> {
        self.rest = self.rest.trim_start();
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            let value = self.expression(0)?;
            self.rest = self.rest.trim_start().strip_prefix(')').ok_or("arithmetic: missing )")?;
            return Ok(value);
        }
        for (sign, act) in [("-", i64::wrapping_neg as fn(i64) -> i64), ("+", |v| v), ("!", |v| i64::from(v == 0))] {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest;
                return Ok(act(self.operand()?));
            }
        }
        self.rest = self.rest.strip_prefix('$').unwrap_or(self.rest);
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word.chars().next() {
            Some(c) if c.is_ascii_digit() => word.parse().map_err(|_| format!("arithmetic: {word:?} is no number")),
            Some(_) => {
                let value = (self.lookup)(word).unwrap_or_default();
                let value = value.trim();
                if value.is_empty() {
                    Ok(0)
                } else {
                    value.parse().map_err(|_| format!("arithmetic: {word} is {value:?}"))
                }
            }
            None => Err(format!("arithmetic: cannot read {rest:?}")),
        }
    }
}

fn apply(operator: &str, left: i64, right: i64) -> Result<i64, String> {
    let shift = || u32::try_from(right).map_err(|_| "arithmetic: negative shift".to_owned());
    Ok(match operator {
        "+" => left.wrapping_add(right),
        "-" => left.wrapping_sub(right),
        "*" => left.wrapping_mul(right),
        "/" => left.checked_div(right).ok_or("arithmetic: division by zero")?,
        "%" => left.checked_rem(right).ok_or("arithmetic: division by zero")?,
        "<<" => left.wrapping_shl(shift()?),
        ">>" => left.wrapping_shr(shift()?),
        "==" => i64::from(left == right),
        "!=" => i64::from(left != right),
        "<" => i64::from(left < right),
        ">" => i64::from(left > right),
        "<=" => i64::from(left <= right),
        ">=" => i64::from(left >= right),
        "&&" => i64::from(left != 0 && right != 0),
        _ => i64::from(left != 0 || right != 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_variables_and_precedence() {
        let lookup = |name: &str| (name == "i").then(|| "4".to_owned());
        for (text, expected) in
            [("1+2*3", 7), ("(1+2)*3", 9), ("i+1", 5), ("$i - -1", 5), ("i%3 == 1", 1), ("unset", 0), ("10-2-3", 5)]
        {
            assert_eq!(evaluate(text, &lookup), Ok(expected), "{text}");
        }
        for text in ["1/0", "(1", "1 2", "@", ""] {
            assert!(evaluate(text, &lookup).is_err(), "{text}");
        }
        assert!(evaluate(&"(".repeat(10_000), &lookup).is_err());
    }
}
