//! Tokens to operands: what stands between operators, with its attributes, calls, filters and
//! tests.

use super::{
    ast::{Args, Expr, Name, Named},
    error::{Result, syntax},
    filters,
    lexer::Token,
    parser::Parser,
    tests,
};

impl Parser<'_> {
    pub(super) fn primary(&mut self) -> Result<Expr> {
        Ok(match self.next() {
            Token::Name("true" | "True") => Expr::Bool(true),
            Token::Name("false" | "False") => Expr::Bool(false),
            Token::Name("none" | "None") => Expr::None,
            Token::Name(name) => Expr::Name(Name::new(name)),
            Token::Str(mut text) => {
                while let Token::Str(more) = self.peek() {
                    text.push_str(more);
                    self.next();
                }
                Expr::Str(text.into())
            }
            Token::Int(number) => Expr::Int(number),
            Token::Float(number) => Expr::Float(number),
            Token::Op("(") => {
                if self.skip_op(")") {
                    return Ok(Expr::Tuple(Vec::new()));
                }
                let value = self.tuple(true, &[])?;
                self.expect_op(")")?;
                value
            }
            Token::Op("[") => Expr::List(self.list("]", |parser| parser.expression())?),
            Token::Op("{") => Expr::Dict(self.list("}", |parser| {
                let key = parser.expression()?;
                parser.expect_op(":")?;
                Ok((key, parser.expression()?))
            })?),
            _ => {
                self.back();
                return self.unexpected("an expression");
            }
        })
    }

    /// What stands between brackets, with commas.
    fn list<T>(&mut self, close: &str, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = Vec::new();
        while !self.skip_op(close) {
            if !items.is_empty() {
                self.expect_op(",")?;
                if self.skip_op(close) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(super) fn postfix(&mut self, mut value: Expr) -> Result<Expr> {
        loop {
            if self.skip_op(".") {
                value = match self.next() {
                    Token::Name(name) => Expr::Attr(Box::new(value), name.into()),
                    Token::Int(index) => Expr::Item(Box::new(value), Box::new(Expr::Int(index))),
                    _ => {
                        self.back();
                        return self.unexpected("a name or number");
                    }
                };
            } else if self.skip_op("[") {
                value = self.subscript(value)?;
            } else if *self.peek() == Token::Op("(") {
                value = self.call(value)?;
            } else {
                return Ok(value);
            }
            self.link()?;
        }
    }

    fn subscript(&mut self, value: Expr) -> Result<Expr> {
        let line = self.line();
        let mut parts: [Option<Expr>; 3] = [None, None, None];
        let mut at = 0;
        loop {
            if self.skip_op(":") {
                at += 1;
                if at > 2 {
                    return self.unexpected("']'");
                }
            } else if self.skip_op("]") {
                break;
            } else if at < 3 && parts[at].is_none() {
                parts[at] = Some(self.expression()?);
                if *self.peek() == Token::Op(",") {
                    return self.subscript_tuple(value, parts, line);
                }
            } else {
                return self.unexpected("']'");
            }
        }
        match (at, parts) {
            (0, [Some(index), _, _]) => Ok(Expr::Item(Box::new(value), Box::new(index))),
            (0, _) => Ok(Expr::Item(Box::new(value), Box::new(Expr::Tuple(Vec::new())))),
            (_, parts) => Ok(Expr::Slice(Box::new(value), Box::new(parts))),
        }
    }

    /// `value[1, 2]`: the key is a tuple.
    fn subscript_tuple(
        &mut self,
        value: Expr,
        parts: [Option<Expr>; 3],
        line: u32,
    ) -> Result<Expr> {
        let [Some(first), None, None] = parts else {
            return syntax(line, "a slice among several keys");
        };
        let mut keys = vec![first];
        while self.skip_op(",") {
            keys.push(self.expression()?);
        }
        self.expect_op("]")?;
        Ok(Expr::Item(Box::new(value), Box::new(Expr::Tuple(keys))))
    }

    pub(super) fn call(&mut self, value: Expr) -> Result<Expr> {
        Ok(Expr::Call(Box::new((value, self.args()?))))
    }

    fn args(&mut self) -> Result<Args> {
        let line = self.line();
        self.expect_op("(")?;
        let mut args = Args::default();
        let mut first = true;
        while !self.skip_op(")") {
            if !first {
                self.expect_op(",")?;
                if self.skip_op(")") {
                    break;
                }
            }
            first = false;
            let named =
                matches!(self.peek(), Token::Name(_)) && *self.peek_second() == Token::Op("=");
            let fits;
            if self.skip_op("*") {
                fits = args.more.is_none() && args.more_named.is_none();
                args.more = Some(self.expression()?);
            } else if self.skip_op("**") {
                fits = args.more_named.is_none();
                args.more_named = Some(self.expression()?);
            } else if named {
                let name = self.name()?;
                self.expect_op("=")?;
                fits = args.more_named.is_none()
                    && !args.named.iter().any(|(known, _)| **known == *name);
                args.named.push((name.into(), self.expression()?));
            } else {
                fits = args.more.is_none() && args.more_named.is_none() && args.named.is_empty();
                args.values.push(self.expression()?);
            }
            if !fits {
                return syntax(line, "invalid syntax for function call expression");
            }
        }
        Ok(args)
    }

    /// `|a|b(c)` after a value.
    pub(super) fn filters(&mut self, mut value: Expr) -> Result<Expr> {
        while self.skip_op("|") {
            self.link()?;
            value = self.filter(value)?;
        }
        Ok(value)
    }

    pub(super) fn filter(&mut self, value: Expr) -> Result<Expr> {
        let name = self.dotted()?;
        let has_args = *self.peek() == Token::Op("(");
        let args = if has_args { self.args()? } else { Args::default() };
        let filter = Named { function: filters::find(&name), name: name.into() };
        Ok(Expr::Filter(Box::new((value, filter, args))))
    }

    pub(super) fn test(&mut self, value: Expr) -> Result<Expr> {
        let negated = self.skip_word("not");
        let name = self.dotted()?;
        let mut args = Args::default();
        match self.peek() {
            Token::Op("(") => args = self.args()?,
            Token::Name("else" | "or" | "and") => {}
            Token::Name("is") => return self.unexpected("no second test"),
            Token::Name(_)
            | Token::Str(_)
            | Token::Int(_)
            | Token::Float(_)
            | Token::Op("[" | "{") => {
                let value = self.nested(|parser| {
                    let value = parser.primary()?;
                    parser.postfix(value)
                })?;
                args.values.push(value);
            }
            _ => {}
        }
        let test = Named { function: tests::find(&name), name: name.into() };
        let test = Expr::Test(Box::new((value, test, args)));
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    fn dotted(&mut self) -> Result<String> {
        let mut name = self.name()?.to_owned();
        while self.skip_op(".") {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name)
    }
}
