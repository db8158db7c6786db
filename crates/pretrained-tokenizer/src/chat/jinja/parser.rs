//! Tokens to statements.

use super::{
    ast::{Captured, Expr, For, Function, Name, Param, Scope, Stmt, StmtKind, Target, Test},
    error::{Result, syntax},
    lexer::{Token, tokens},
};

/// Parses a template; says how deep it nests too.
pub(super) fn parse(source: &str) -> Result<(Vec<Stmt>, usize)> {
    let tokens = tokens(source)?;
    let mut parser =
        Parser { tokens, at: 0, depth: 0, deepest: 0, links: 0, loops: 0, blocks: Vec::new() };
    let body = parser.body(&[])?;
    Ok((body, parser.deepest))
}

pub(super) struct Parser<'t> {
    pub(super) tokens: Vec<(Token<'t>, u32)>,
    pub(super) at: usize,
    depth: usize,
    deepest: usize,
    /// The links of the chains of this tag, such as `or`, each of which nests what is before it.
    links: usize,
    /// How many loops of this function are around the statement.
    loops: usize,
    blocks: Vec<&'t str>,
}

impl<'t> Parser<'t> {
    /// Statements up to one of the `end` tags, whose name is left to be read.
    fn body(&mut self, end: &[&str]) -> Result<Vec<Stmt>> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            self.links = 0;
            match self.next() {
                Token::Text(text) => body.push(Stmt { line, kind: StmtKind::Text(text.into()) }),
                Token::PrintBegin => {
                    let value = self.tuple(true, &[])?;
                    self.expect(&Token::PrintEnd)?;
                    body.push(Stmt { line, kind: StmtKind::Print(value) });
                }
                Token::BlockBegin => {
                    if let Token::Name(name) = self.peek()
                        && end.contains(name)
                    {
                        return Ok(body);
                    }
                    self.nested(|parser| parser.statement(line, &mut body))?;
                    self.expect(&Token::BlockEnd)?;
                }
                _ if end.is_empty() => return Ok(body),
                _ => {
                    let wanted = end.join("' or '");
                    return syntax(
                        line,
                        format!("unexpected end of template, expected '{wanted}'"),
                    );
                }
            }
        }
    }

    /// The body of a statement: the rest of its tag is read here, its end tag's name too.
    fn block(&mut self, end: &[&str]) -> Result<(Vec<Stmt>, &'t str)> {
        self.skip_op(":");
        self.expect(&Token::BlockEnd)?;
        let body = self.body(end)?;
        Ok((body, self.name()?))
    }

    fn statement(&mut self, line: u32, body: &mut Vec<Stmt>) -> Result<()> {
        let kind = match self.name()? {
            "for" => self.for_loop()?,
            "if" => self.if_chain()?,
            "set" => self.set()?,
            "print" => {
                while *self.peek() != Token::BlockEnd {
                    body.push(Stmt { line, kind: StmtKind::Print(self.expression()?) });
                    if *self.peek() != Token::BlockEnd {
                        self.expect_op(",")?;
                    }
                }
                return Ok(());
            }
            "with" => self.with()?,
            "macro" => {
                let name = self.name()?;
                let function = self.function(name, true, "endmacro")?;
                StmtKind::Macro(Name::new(name), Box::new(function))
            }
            "call" => self.call_block()?,
            "filter" => {
                let value = self.filter(Expr::Captured)?;
                let value = self.filters(value)?;
                let (body, _) = self.block(&["endfilter"])?;
                let captured = Captured { scope: Scope::default(), body, value };
                StmtKind::FilterBlock(Box::new(captured))
            }
            "generation" => {
                let function = self.function("caller", false, "endgeneration")?;
                StmtKind::Generation(Box::new(function))
            }
            "block" => self.named_block()?,
            "break" if self.loops > 0 => StmtKind::Break,
            "continue" if self.loops > 0 => StmtKind::Continue,
            word @ ("break" | "continue") => {
                return syntax(line, format!("'{word}' outside of a loop"));
            }
            "include" => {
                let from = self.expression()?;
                if self.skip_word("ignore") {
                    self.expect_word("missing")?;
                }
                self.skip_context()?;
                StmtKind::Load(from, Vec::new())
            }
            "extends" => StmtKind::Load(self.expression()?, Vec::new()),
            "import" => {
                let from = self.expression()?;
                self.expect_word("as")?;
                let name = Name::new(self.name()?);
                self.skip_context()?;
                StmtKind::Load(from, vec![name])
            }
            "from" => self.import_names()?,
            // Nothing is escaped as it is: what is left is a scope.
            "autoescape" if matches!(self.peek(), Token::Name("false" | "False")) => {
                self.next();
                let (body, _) = self.block(&["endautoescape"])?;
                StmtKind::With(Vec::new(), Scope::default(), body)
            }
            "autoescape" => return syntax(line, "autoescape is supported as `autoescape false`"),
            name => return syntax(line, format!("encountered unknown tag '{name}'")),
        };
        body.push(Stmt { line, kind });
        Ok(())
    }

    fn for_loop(&mut self) -> Result<StmtKind> {
        let start = self.at;
        let target = self.target(&["in"], false)?;
        self.expect_word("in")?;
        let iter = self.tuple(false, &["recursive"])?;
        let condition = if self.skip_word("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_word("recursive");
        let around = if recursive { std::mem::take(&mut self.loops) } else { self.loops };
        self.loops += 1;
        let (body, end) = self.block(&["endfor", "else"])?;
        self.loops -= 1;
        let otherwise = if end == "else" { self.block(&["endfor"])?.0 } else { Vec::new() };
        self.loops = around;
        let test = match condition {
            None => None,
            Some(condition) => {
                // The condition has variables of its own, its targets are read again for it.
                let end = std::mem::replace(&mut self.at, start);
                let target = self.target(&["in"], false)?;
                self.at = end;
                Some(Test { target, scope: Scope::default(), condition })
            }
        };
        Ok(StmtKind::For(Box::new(For {
            target,
            iter,
            test,
            looped: None,
            recursive,
            slots: 0,
            scope: Scope::default(),
            body,
            else_scope: Scope::default(),
            otherwise,
        })))
    }

    fn if_chain(&mut self) -> Result<StmtKind> {
        let mut branches = Vec::new();
        loop {
            let condition = self.tuple(false, &[])?;
            let (body, end) = self.block(&["elif", "else", "endif"])?;
            branches.push((condition, body));
            match end {
                "elif" => {}
                "else" => {
                    let (otherwise, _) = self.block(&["endif"])?;
                    return Ok(StmtKind::If(branches, otherwise));
                }
                _ => return Ok(StmtKind::If(branches, Vec::new())),
            }
        }
    }

    fn set(&mut self) -> Result<StmtKind> {
        let target = self.target(&[], true)?;
        if self.skip_op("=") {
            return Ok(StmtKind::Set(target, self.tuple(true, &[])?));
        }
        let value = self.filters(Expr::Captured)?;
        let (body, _) = self.block(&["endset"])?;
        let captured = Captured { scope: Scope::default(), body, value };
        Ok(StmtKind::SetBlock(Box::new(captured), target))
    }

    fn with(&mut self) -> Result<StmtKind> {
        let mut variables = Vec::new();
        while *self.peek() != Token::BlockEnd {
            if !variables.is_empty() {
                self.expect_op(",")?;
            }
            let target = self.target(&[], false)?;
            self.expect_op("=")?;
            variables.push((target, self.expression()?));
        }
        let (body, _) = self.block(&["endwith"])?;
        Ok(StmtKind::With(variables, Scope::default(), body))
    }

    /// The parameters and the body of a macro, or of a call or generation block.
    fn function(&mut self, name: &str, signed: bool, end: &str) -> Result<Function> {
        let params = if signed { self.signature()? } else { Vec::new() };
        self.function_body(name, params, end)
    }

    fn function_body(&mut self, name: &str, params: Vec<Param>, end: &str) -> Result<Function> {
        let around = std::mem::take(&mut self.loops);
        let (body, _) = self.block(&[end])?;
        self.loops = around;
        Ok(Function { name: name.into(), params, body, ..Function::default() })
    }

    fn signature(&mut self) -> Result<Vec<Param>> {
        self.expect_op("(")?;
        let mut params: Vec<Param> = Vec::new();
        while !self.skip_op(")") {
            if !params.is_empty() {
                self.expect_op(",")?;
            }
            let line = self.line();
            let name = self.assignable()?;
            if params.iter().any(|param| *param.name.text == *name) {
                return syntax(line, format!("duplicate argument '{name}'"));
            }
            let default = if self.skip_op("=") { Some(self.expression()?) } else { None };
            if default.is_none() && params.last().is_some_and(|last| last.default.is_some()) {
                return syntax(line, "non-default argument follows default argument");
            }
            params.push(Param { name: Name::new(name), default });
        }
        Ok(params)
    }

    fn call_block(&mut self) -> Result<StmtKind> {
        let line = self.line();
        let params = if *self.peek() == Token::Op("(") { self.signature()? } else { Vec::new() };
        let call = self.expression()?;
        if !matches!(call, Expr::Call(_)) {
            return syntax(line, "expected call");
        }
        let function = self.function_body("caller", params, "endcall")?;
        Ok(StmtKind::Call(call, Box::new(function)))
    }

    fn named_block(&mut self) -> Result<StmtKind> {
        let line = self.line();
        let name = self.name()?;
        if self.blocks.contains(&name) {
            return syntax(line, format!("block '{name}' defined twice"));
        }
        self.blocks.push(name);
        let scoped = self.skip_word("scoped");
        if self.skip_word("required") {
            return syntax(line, "a required block needs a template that extends this one");
        }
        let function = self.function(name, false, "endblock")?;
        self.skip_word(name);
        // It sees the variables around it.
        Ok(if scoped {
            StmtKind::With(Vec::new(), Scope::default(), function.body)
        } else {
            StmtKind::Block(Box::new(function))
        })
    }

    fn import_names(&mut self) -> Result<StmtKind> {
        let from = self.expression()?;
        self.expect_word("import")?;
        let mut names = Vec::new();
        loop {
            if self.skip_context()? {
                break;
            }
            let line = self.line();
            let name = self.assignable()?;
            if name.starts_with('_') {
                let reason = "names starting with an underline can not be imported";
                return syntax(line, reason);
            }
            let alias = if self.skip_word("as") { self.assignable()? } else { name };
            names.push(Name::new(alias));
            if self.skip_context()? || !self.skip_op(",") {
                break;
            }
        }
        Ok(StmtKind::Load(from, names))
    }

    /// `with context`, `without context`.
    fn skip_context(&mut self) -> Result<bool> {
        let is = |token: &Token<'_>, words: &[&str]| match token {
            Token::Name(name) => words.contains(name),
            _ => false,
        };
        let there = is(self.peek(), &["with", "without"]) && is(self.peek_second(), &["context"]);
        if there {
            self.at += 2;
        }
        Ok(there)
    }

    /// What is assigned to: names, tuples of them, and attributes of namespaces in a `set`.
    fn target(&mut self, end: &[&str], attributes: bool) -> Result<Target> {
        let mut targets = Vec::new();
        let mut tuple = false;
        loop {
            if tuple && self.ends_tuple(end) {
                break;
            }
            targets.push(self.single_target(attributes)?);
            if !self.skip_op(",") {
                break;
            }
            tuple = true;
        }
        if !tuple && let Some(target) = targets.pop() {
            return Ok(target);
        }
        Ok(Target::Tuple(targets))
    }

    fn single_target(&mut self, attributes: bool) -> Result<Target> {
        if self.skip_op("(") {
            let target = self.nested(|parser| {
                if *parser.peek() == Token::Op(")") {
                    return Ok(Target::Tuple(Vec::new()));
                }
                parser.target(&[], false)
            })?;
            self.expect_op(")")?;
            return Ok(target);
        }
        let name = self.assignable()?;
        if attributes && self.skip_op(".") {
            return Ok(Target::Attr(Name::new(name), self.name()?.into()));
        }
        Ok(Target::Name(Name::new(name)))
    }

    fn assignable(&mut self) -> Result<&'t str> {
        let line = self.line();
        let name = self.name()?;
        if matches!(name, "true" | "false" | "none" | "True" | "False" | "None") {
            return syntax(line, format!("can't assign to '{name}'"));
        }
        Ok(name)
    }

    /// Counts how deep the template nests, so that walking it cannot exhaust the stack.
    pub(super) fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return syntax(self.line(), "the template nests too deeply");
        }
        self.deepest = self.deepest.max(self.depth + self.links);
        let result = stacker::maybe_grow(RED_ZONE, STACK, || f(self));
        self.depth -= 1;
        result
    }

    /// Counts a link of a chain.
    pub(super) fn link(&mut self) -> Result<()> {
        self.links += 1;
        self.deepest = self.deepest.max(self.depth + self.links);
        if self.links > MAX_LINKS {
            return syntax(self.line(), "the expression is too long");
        }
        Ok(())
    }
}

/// Python's own parser gives up at a hundred brackets.
const MAX_DEPTH: usize = 100;
/// Far more than anyone writes in one tag, few enough for the stack.
const MAX_LINKS: usize = 400;
const RED_ZONE: usize = 128 << 10;
const STACK: usize = 2 << 20;
