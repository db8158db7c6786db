//! Tokens to expressions, with the precedences of Jinja's operators.

use super::{
    ast::{Comparison, Expr, Math},
    error::Result,
    lexer::Token,
    parser::Parser,
};

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Expr> {
        self.nested(|parser| {
            let mut value = parser.or()?;
            while parser.skip_word("if") {
                parser.link()?;
                let condition = parser.or()?;
                let otherwise =
                    if parser.skip_word("else") { Some(parser.expression()?) } else { None };
                value = Expr::If(Box::new((condition, value, otherwise)));
            }
            Ok(value)
        })
    }

    /// An expression, or several with commas: a tuple. `end` are words that end it.
    pub(super) fn tuple(&mut self, conditional: bool, end: &[&str]) -> Result<Expr> {
        let mut items = Vec::new();
        let mut tuple = false;
        loop {
            if self.ends_tuple(end) {
                break;
            }
            let item =
                if conditional { self.expression()? } else { self.nested(|parser| parser.or())? };
            items.push(item);
            if !self.skip_op(",") {
                break;
            }
            tuple = true;
        }
        match items.pop() {
            Some(item) if !tuple => Ok(item),
            Some(item) => {
                items.push(item);
                Ok(Expr::Tuple(items))
            }
            None => self.unexpected("an expression"),
        }
    }

    pub(super) fn ends_tuple(&self, end: &[&str]) -> bool {
        match self.peek() {
            Token::PrintEnd | Token::BlockEnd | Token::Op(")") => true,
            Token::Name(name) => end.contains(name),
            _ => false,
        }
    }

    fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.skip_word("or") {
            self.link()?;
            left = Expr::Or(Box::new((left, self.and()?)));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.skip_word("and") {
            self.link()?;
            left = Expr::And(Box::new((left, self.not()?)));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if self.skip_word("not") {
            return Ok(Expr::Not(Box::new(self.nested(|parser| parser.not())?)));
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let comparison = match self.peek() {
                Token::Op("==") => Comparison::Eq,
                Token::Op("!=") => Comparison::Ne,
                Token::Op("<") => Comparison::Lt,
                Token::Op("<=") => Comparison::Le,
                Token::Op(">") => Comparison::Gt,
                Token::Op(">=") => Comparison::Ge,
                Token::Name("in") => Comparison::In,
                Token::Name("not") if *self.peek_second() == Token::Name("in") => {
                    self.next();
                    Comparison::NotIn
                }
                _ => break,
            };
            self.next();
            rest.push((comparison, self.sum()?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Compare(Box::new(first), rest) })
    }

    fn sum(&mut self) -> Result<Expr> {
        let mut left = self.concat()?;
        loop {
            if self.skip_op("+") {
                let right = self.concat()?;
                left = match left {
                    Expr::Add(mut terms) => {
                        terms.push(right);
                        Expr::Add(terms)
                    }
                    left => Expr::Add(vec![left, right]),
                };
            } else if self.skip_op("-") {
                self.link()?;
                left = Expr::Math(Math::Sub, Box::new((left, self.concat()?)));
            } else {
                return Ok(left);
            }
        }
    }

    fn concat(&mut self) -> Result<Expr> {
        let first = self.product()?;
        if *self.peek() != Token::Op("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.skip_op("~") {
            parts.push(self.product()?);
        }
        Ok(Expr::Concat(parts))
    }

    fn product(&mut self) -> Result<Expr> {
        let mut left = self.power()?;
        loop {
            let math = match self.peek() {
                Token::Op("*") => Math::Mul,
                Token::Op("/") => Math::Div,
                Token::Op("//") => Math::FloorDiv,
                Token::Op("%") => Math::Mod,
                _ => return Ok(left),
            };
            self.next();
            self.link()?;
            left = Expr::Math(math, Box::new((left, self.power()?)));
        }
    }

    fn power(&mut self) -> Result<Expr> {
        let mut left = self.unary(true)?;
        while self.skip_op("**") {
            self.link()?;
            left = Expr::Math(Math::Pow, Box::new((left, self.unary(true)?)));
        }
        Ok(left)
    }

    fn unary(&mut self, filtered: bool) -> Result<Expr> {
        let value = if self.skip_op("-") {
            Expr::Minus(Box::new(self.nested(|parser| parser.unary(false))?))
        } else if self.skip_op("+") {
            Expr::Plus(Box::new(self.nested(|parser| parser.unary(false))?))
        } else {
            self.primary()?
        };
        let value = self.postfix(value)?;
        if !filtered {
            return Ok(value);
        }
        let mut value = value;
        loop {
            if *self.peek() == Token::Op("|") {
                value = self.filters(value)?;
            } else if self.skip_word("is") {
                value = self.test(value)?;
            } else if *self.peek() == Token::Op("(") {
                value = self.call(value)?;
            } else {
                return Ok(value);
            }
            self.link()?;
        }
    }
}
