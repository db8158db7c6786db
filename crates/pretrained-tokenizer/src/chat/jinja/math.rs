//! The arithmetic operators.

use super::{
    ast::Math,
    error::{Result, failure},
    format,
    render::Run,
    text,
    value::Value,
};

impl<'a> Run<'a> {
    pub(super) fn add(&mut self, a: Value<'a>, b: Value<'a>) -> Result<Value<'a>> {
        match (a, b) {
            (Value::Str(a), Value::Str(b)) => return self.join(&[a, b]).map(Value::Str),
            (Value::Bool(_) | Value::Int(_), Value::Bool(_) | Value::Int(_)) => {
                return whole(a.int().zip(b.int()).and_then(|(a, b)| a.checked_add(b)));
            }
            _ => {}
        }
        if let (Some(left), Some(right)) = (a.text(), b.text()) {
            let (left, right) = (self.escaped(a, left)?, self.escaped(b, right)?);
            return self.join(&[left, right]).map(Value::Markup);
        }
        if let (Some(a), Some(b)) = (a.float(), b.float()) {
            return Ok(Value::Float(a + b));
        }
        let is_list = a.is_list() && b.is_list();
        if is_list || (a.tuple().is_some() && b.tuple().is_some()) {
            let (a, b) = (self.collect(a)?, self.collect(b)?);
            self.spend(a.len() + b.len())?;
            let both = self.arena.alloc_slice_fill_with(a.len() + b.len(), |at| {
                if at < a.len() { a[at] } else { b[at - a.len()] }
            });
            return Ok(if is_list { Value::List(both) } else { Value::Tuple(both) });
        }
        self.unsupported("+", a, b)
    }

    /// Text beside marked text.
    fn escaped(&mut self, value: Value<'a>, text: &'a str) -> Result<&'a str> {
        if matches!(value, Value::Markup(_)) {
            return Ok(text);
        }
        self.alloc_str(&text::escaped(text))
    }

    pub(super) fn math(&mut self, op: Math, a: Value<'a>, b: Value<'a>) -> Result<Value<'a>> {
        if op == Math::Mul
            && let Some(product) = self.repeat(a, b)?
        {
            return Ok(product);
        }
        if op == Math::Mod
            && let Some(template) = a.text()
        {
            let text = format::percent(self, template, b, matches!(a, Value::Markup(_)))?;
            let text = self.alloc_str(&text)?;
            return Ok(if matches!(a, Value::Markup(_)) {
                Value::Markup(text)
            } else {
                Value::Str(text)
            });
        }
        if let (Some(a), Some(b)) = (a.int(), b.int()) {
            return match op {
                Math::Sub => whole(a.checked_sub(b)),
                Math::Mul => whole(a.checked_mul(b)),
                Math::Div if b == 0 => failure("division by zero"),
                Math::Div => Ok(Value::Float(a as f64 / b as f64)),
                Math::FloorDiv | Math::Mod if b == 0 => {
                    failure("integer division or modulo by zero")
                }
                Math::FloorDiv => whole(floor_div(a, b)),
                Math::Mod => whole(floor_div(a, b).map(|quotient| a.wrapping_sub(quotient * b))),
                Math::Pow if b >= 0 => power(a, b),
                Math::Pow if a == 0 => failure("0.0 cannot be raised to a negative power"),
                Math::Pow => Ok(Value::Float((a as f64).powf(b as f64))),
            };
        }
        let (Some(x), Some(y)) = (a.float(), b.float()) else {
            let sign = match op {
                Math::Sub => "-",
                Math::Mul => "*",
                Math::Div => "/",
                Math::FloorDiv => "//",
                Math::Mod => "%",
                Math::Pow => "** or pow()",
            };
            return self.unsupported(sign, a, b);
        };
        Ok(Value::Float(match op {
            Math::Sub => x - y,
            Math::Mul => x * y,
            Math::Div | Math::FloorDiv | Math::Mod if y == 0.0 => {
                return failure("float division by zero");
            }
            Math::Div => x / y,
            Math::FloorDiv => {
                let quotient = (x - modulo(x, y)) / y;
                let floor = quotient.floor();
                if quotient - floor > 0.5 { floor + 1.0 } else { floor }
            }
            Math::Mod => modulo(x, y),
            Math::Pow if x == 0.0 && y < 0.0 => {
                return failure("0.0 cannot be raised to a negative power");
            }
            Math::Pow if x < 0.0 && y.fract() != 0.0 => {
                return failure("complex numbers are not supported");
            }
            Math::Pow => {
                let power = x.powf(y);
                if power.is_infinite() && x.is_finite() && y.is_finite() {
                    return failure("the number is too large");
                }
                power
            }
        }))
    }

    /// `'ab' * 3`, `3 * [0]`.
    fn repeat(&mut self, a: Value<'a>, b: Value<'a>) -> Result<Option<Value<'a>>> {
        let (value, times) = match (a.int(), b.int()) {
            (None, Some(times)) => (a, times),
            (Some(times), None) => (b, times),
            _ => return Ok(None),
        };
        let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
        if let Some(text) = value.text() {
            self.spend_text(text.len().saturating_mul(times))?;
            let repeated = self.arena.alloc_str(&text.repeat(times));
            let is_markup = matches!(value, Value::Markup(_));
            return Ok(Some(if is_markup {
                Value::Markup(repeated)
            } else {
                Value::Str(repeated)
            }));
        }
        if value.sequence().is_none() {
            return Ok(None);
        }
        let items = self.collect(value)?;
        let len = items.len().saturating_mul(times);
        self.spend(len)?;
        let repeated = self.arena.alloc_slice_fill_with(len, |at| items[at % items.len()]);
        Ok(Some(if value.is_list() { Value::List(repeated) } else { Value::Tuple(repeated) }))
    }

    pub(super) fn negate(&mut self, value: Value<'a>) -> Result<Value<'a>> {
        match (value.int(), value) {
            (Some(it), _) => whole(it.checked_neg()),
            (None, Value::Float(it)) => Ok(Value::Float(-it)),
            _ => self.bad_operand("-", value),
        }
    }

    pub(super) fn plus(&mut self, value: Value<'a>) -> Result<Value<'a>> {
        match (value.int(), value) {
            (Some(it), _) => Ok(Value::Int(it)),
            (None, Value::Float(it)) => Ok(Value::Float(it)),
            _ => self.bad_operand("+", value),
        }
    }

    fn bad_operand<T>(&self, sign: &str, value: Value<'a>) -> Result<T> {
        self.check_defined(value)?;
        failure(format!("bad operand type for unary {sign}: '{}'", value.type_name()))
    }

    fn unsupported<T>(&self, sign: &str, a: Value<'a>, b: Value<'a>) -> Result<T> {
        self.check_defined(a)?;
        self.check_defined(b)?;
        let (a, b) = (a.type_name(), b.type_name());
        failure(format!("unsupported operand type(s) for {sign}: '{a}' and '{b}'"))
    }
}

/// A whole number, if it was not too large.
pub(super) fn whole<'a>(number: Option<i128>) -> Result<Value<'a>> {
    match number {
        Some(number) => Ok(Value::Int(number)),
        None => failure("the number is too large"),
    }
}

fn floor_div(a: i128, b: i128) -> Option<i128> {
    let quotient = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

fn power<'a>(base: i128, exponent: i128) -> Result<Value<'a>> {
    match (base, u32::try_from(exponent)) {
        (0 | 1, _) => Ok(Value::Int(if exponent == 0 { 1 } else { base })),
        (-1, _) => Ok(Value::Int(if exponent % 2 == 0 { 1 } else { -1 })),
        (_, Ok(exponent)) => whole(base.checked_pow(exponent)),
        (_, Err(_)) => failure("the number is too large"),
    }
}

/// Python's remainder has the sign of the divisor.
fn modulo(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest == 0.0 {
        0.0f64.copysign(b)
    } else if (rest < 0.0) != (b < 0.0) {
        rest + b
    } else {
        rest
    }
}
