//! Evaluates expressions.

use super::{
    args::Args,
    ast::{self, Expr, Name},
    error::{Result, failure},
    render::{Frame, Run},
    value::{Object, Undefined, Value},
};

impl<'a> Run<'a> {
    pub(super) fn eval(&mut self, expr: &'a Expr, frame: &'a Frame<'a>) -> Result<Value<'a>> {
        self.spend(1)?;
        match expr {
            Expr::Str(text) => Ok(Value::Str(text)),
            Expr::Name(Name { place, .. }) => Ok(self.at(*place, frame)),
            Expr::Attr(value, name) => {
                let value = self.eval(value, frame)?;
                self.attribute(value, name)
            }
            Expr::Item(value, key) => {
                let value = self.eval(value, frame)?;
                if let Expr::Str(name) = &**key
                    && let Value::JsonDict(_) | Value::Dict(_) = value
                    && let Some(found) = self.field(value, Value::Str(name))?
                {
                    return Ok(found);
                }
                let key = self.eval(key, frame)?;
                self.item(value, key)
            }
            Expr::Compare(first, rest) => self.comparison(first, rest, frame),
            Expr::And(it) => {
                let left = self.eval(&it.0, frame)?;
                if left.is_true() { self.eval(&it.1, frame) } else { Ok(left) }
            }
            Expr::Or(it) => {
                let left = self.eval(&it.0, frame)?;
                if left.is_true() { Ok(left) } else { self.eval(&it.1, frame) }
            }
            Expr::Not(it) => Ok(Value::Bool(!self.eval(it, frame)?.is_true())),
            Expr::If(it) => {
                if self.eval(&it.0, frame)?.is_true() {
                    return self.eval(&it.1, frame);
                }
                match &it.2 {
                    Some(otherwise) => self.eval(otherwise, frame),
                    None => Ok(Run::undefined(NO_ELSE)),
                }
            }
            Expr::Filter(it) => {
                let value = self.eval(&it.0, frame)?;
                let args = self.args(&it.2, None, frame)?;
                match it.1.function {
                    Some(filter) => filter(self, value, &args),
                    None => failure(format!("no filter named '{}'", it.1.name)),
                }
            }
            Expr::Test(it) => {
                let value = self.eval(&it.0, frame)?;
                let args = self.args(&it.2, None, frame)?;
                match it.1.function {
                    Some(test) => Ok(Value::Bool(test(self, value, &args)?)),
                    None => failure(format!("no test named '{}'", it.1.name)),
                }
            }
            Expr::Call(call) => {
                if let Expr::Attr(value, name) = &call.0 {
                    let value = self.eval(value, frame)?;
                    let args = self.args(&call.1, None, frame)?;
                    return self.call_method(value, name, &args);
                }
                let value = self.eval(&call.0, frame)?;
                let args = self.args(&call.1, None, frame)?;
                self.call(value, &args)
            }
            Expr::Add(terms) => {
                let start = self.out.len();
                match self.add_up(terms, frame)? {
                    Some(sum) => Ok(sum),
                    None => Ok(Value::Str(self.take_from(start)?)),
                }
            }
            Expr::Concat(parts) => {
                let start = self.out.len();
                self.concat(parts, frame)?;
                Ok(Value::Str(self.take_from(start)?))
            }
            Expr::Math(op, it) => {
                let left = self.eval(&it.0, frame)?;
                let right = self.eval(&it.1, frame)?;
                self.math(*op, left, right)
            }
            Expr::Slice(value, parts) => self.sliced(value, parts, frame),
            Expr::List(items) => Ok(Value::List(self.all(items, frame)?)),
            Expr::Tuple(items) => Ok(Value::Tuple(self.all(items, frame)?)),
            Expr::Dict(items) => self.dict_of(items, frame),
            Expr::Int(it) => Ok(Value::Int(*it)),
            Expr::Float(it) => Ok(Value::Float(*it)),
            Expr::Bool(it) => Ok(Value::Bool(*it)),
            Expr::None => Ok(Value::None),
            Expr::Captured => Ok(self.captured),
            Expr::Minus(it) => {
                let value = self.eval(it, frame)?;
                self.negate(value)
            }
            Expr::Plus(it) => {
                let value = self.eval(it, frame)?;
                self.plus(value)
            }
        }
    }

    /// Writes `str(value)` of an expression, without making the string where that can be helped.
    pub(super) fn print(&mut self, expr: &'a Expr, frame: &'a Frame<'a>) -> Result<()> {
        match expr {
            Expr::Add(terms) => {
                self.spend(1)?;
                match self.add_up(terms, frame)? {
                    Some(sum) => self.write_out(sum),
                    None => Ok(()),
                }
            }
            Expr::Concat(parts) => self.concat(parts, frame),
            Expr::If(it) => {
                self.spend(1)?;
                if self.eval(&it.0, frame)?.is_true() {
                    return self.print(&it.1, frame);
                }
                it.2.iter().try_for_each(|otherwise| self.print(otherwise, frame))
            }
            Expr::Call(call) => self.print_call(call, None, frame),
            _ => {
                let value = self.eval(expr, frame)?;
                self.write_out(value)
            }
        }
    }

    pub(super) fn write_out(&mut self, value: Value<'a>) -> Result<()> {
        if let Value::Str(text) | Value::Markup(text) = value {
            self.spend_text(text.len())?;
            self.out.push_str(text);
            return Ok(());
        }
        let mut out = std::mem::take(&mut self.out);
        let written = self.write(value, &mut out);
        self.out = out;
        written
    }

    /// Calls, and writes the result; what a macro writes goes straight into the output.
    pub(super) fn print_call(
        &mut self,
        call: &'a (Expr, ast::Args),
        caller: Option<Value<'a>>,
        frame: &'a Frame<'a>,
    ) -> Result<()> {
        self.spend(1)?;
        if let Expr::Attr(value, name) = &call.0 {
            let value = self.eval(value, frame)?;
            let args = self.args(&call.1, caller, frame)?;
            let result = self.call_method(value, name, &args)?;
            return self.write_out(result);
        }
        let value = self.eval(&call.0, frame)?;
        let args = self.args(&call.1, caller, frame)?;
        if let Value::Object(Object::Macro(it)) = value {
            self.buffered += 1;
            self.call_macro(it, &args)?;
            self.buffered -= 1;
            return Ok(());
        }
        let result = self.call(value, &args)?;
        self.write_out(result)
    }

    /// Adds terms from the left. A text is left at the end of the output; for anything else the
    /// output is as it was.
    fn add_up(&mut self, terms: &'a [Expr], frame: &'a Frame<'a>) -> Result<Option<Value<'a>>> {
        let Some((first, mut rest)) = terms.split_first() else { return Ok(None) };
        let mut sum = self.eval(first, frame)?;
        if let Value::Str(text) = sum {
            let start = self.out.len();
            self.spend_text(text.len())?;
            self.out.push_str(text);
            while let Some((term, after)) = rest.split_first() {
                let value = self.eval(term, frame)?;
                rest = after;
                if let Value::Str(text) = value {
                    self.spend_text(text.len())?;
                    self.out.push_str(text);
                } else {
                    let left = Value::Str(self.take_from(start)?);
                    sum = self.add(left, value)?;
                    return self.add_rest(sum, rest, frame).map(Some);
                }
            }
            return Ok(None);
        }
        sum = self.add_rest(sum, rest, frame)?;
        Ok(Some(sum))
    }

    fn add_rest(
        &mut self,
        mut sum: Value<'a>,
        rest: &'a [Expr],
        frame: &'a Frame<'a>,
    ) -> Result<Value<'a>> {
        for term in rest {
            let value = self.eval(term, frame)?;
            sum = self.add(sum, value)?;
        }
        Ok(sum)
    }

    fn concat(&mut self, parts: &'a [Expr], frame: &'a Frame<'a>) -> Result<()> {
        for part in parts {
            // A nested call must not write before it has returned.
            let value = self.eval(part, frame)?;
            self.write_out(value)?;
        }
        Ok(())
    }

    fn comparison(
        &mut self,
        first: &'a Expr,
        rest: &'a [(ast::Comparison, Expr)],
        frame: &'a Frame<'a>,
    ) -> Result<Value<'a>> {
        let mut left = self.eval(first, frame)?;
        for (op, right) in rest {
            let right = self.eval(right, frame)?;
            if !self.compare(*op, left, right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn all(&mut self, items: &'a [Expr], frame: &'a Frame<'a>) -> Result<&'a [Value<'a>]> {
        if items.is_empty() {
            return Ok(&[]);
        }
        let values = self.arena.alloc_slice_fill_copy(items.len(), Value::None);
        for (value, item) in values.iter_mut().zip(items) {
            *value = self.eval(item, frame)?;
        }
        Ok(values)
    }

    fn dict_of(&mut self, items: &'a [(Expr, Expr)], frame: &'a Frame<'a>) -> Result<Value<'a>> {
        let mut pairs = Vec::with_capacity(items.len());
        for (key, value) in items {
            pairs.push((self.eval(key, frame)?, self.eval(value, frame)?));
        }
        self.dict(&pairs)
    }

    /// The arguments of a call, with the body of a call block as `caller`.
    fn args(
        &mut self,
        args: &'a ast::Args,
        caller: Option<Value<'a>>,
        frame: &'a Frame<'a>,
    ) -> Result<Args<'a>> {
        let mut values = self.all(&args.values, frame)?;
        if args.named.is_empty() && args.more.is_none() && args.more_named.is_none() {
            let named: &[_] = match caller {
                Some(caller) => self.arena.alloc_slice_copy(&[("caller", caller)]),
                None => &[],
            };
            return Ok(Args { values, named });
        }
        if let Some(more) = &args.more {
            let more = self.eval(more, frame)?;
            let more = self.collect(more)?;
            self.spend(values.len() + more.len())?;
            values = self.arena.alloc_slice_copy(&[values, more].concat());
        }
        let mut named: Vec<(&'a str, Value<'a>)> = Vec::new();
        for (name, value) in &args.named {
            named.push((name, self.eval(value, frame)?));
        }
        named.extend(caller.map(|caller| ("caller", caller)));
        if let Some(more) = &args.more_named {
            let more = self.eval(more, frame)?;
            if !more.is_dict() {
                return failure("the argument after ** must be a mapping");
            }
            self.spend(more.len().unwrap_or(0))?;
            for (name, value) in super::value::fields(more) {
                let Some(name) = name.text() else { return failure("keywords must be strings") };
                if named.len() < MAX_NAMED && named.iter().any(|(known, _)| *known == name) {
                    return failure("got multiple values for a keyword argument");
                }
                named.push((name, value));
            }
        }
        if named.len() > MAX_NAMED {
            return failure("too many keyword arguments");
        }
        Ok(Args { values, named: self.arena.alloc_slice_copy(&named) })
    }

    /// What Python says about using something that is not there.
    pub(super) fn check_defined(&self, value: Value<'a>) -> Result<()> {
        let Value::Undefined(why) = value else { return Ok(()) };
        failure(match why {
            Undefined::Name(name) => format!("'{name}' is undefined"),
            Undefined::Attribute(name) => format!("there is no attribute '{name}'"),
            Undefined::Because(reason) => reason.to_owned(),
        })
    }
}

const NO_ELSE: &str = "the inline if-expression evaluated to false and no else section was defined";
const MAX_NAMED: usize = 1000;
