//! A template as a tree. The parser builds it, [`super::scope`] says where each name lives, and
//! [`super::render`] walks it.

use super::{filters::FilterFn, tests::TestFn};

/// A variable's name, and where its value is.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    pub(super) place: Place,
}

impl Name {
    pub(super) fn new(text: &str) -> Name {
        Name { text: text.into(), place: Place::Global(0) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A variable that the template was given and does not set.
    Global(usize),
    /// A slot of a frame: this function's, or that of the `up`th function around it.
    Slot { up: usize, slot: usize },
}

/// What an inner scope does with its slots whenever it is entered.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) loads: Vec<(usize, Load)>,
}

#[derive(Debug)]
pub(super) enum Load {
    /// The variable begins as it is outside.
    Copy(Place),
    /// The variable begins undefined.
    Missing(Box<str>),
}

/// A piece of a template that has variables of its own: the template, a macro, the body of a
/// call, a recursive loop.
#[derive(Debug, Default)]
pub(super) struct Function {
    pub(super) name: Box<str>,
    pub(super) params: Vec<Param>,
    /// The slots of the special variables that the body mentions.
    pub(super) caller: Option<usize>,
    pub(super) kwargs: Option<usize>,
    pub(super) varargs: Option<usize>,
    pub(super) slots: usize,
    pub(super) scope: Scope,
    pub(super) body: Vec<Stmt>,
}

#[derive(Debug)]
pub(super) struct Param {
    pub(super) name: Name,
    pub(super) default: Option<Expr>,
}

#[derive(Debug)]
pub(super) struct Stmt {
    pub(super) line: u32,
    pub(super) kind: StmtKind,
}

#[derive(Debug)]
pub(super) enum StmtKind {
    Text(Box<str>),
    Print(Expr),
    Set(Target, Expr),
    SetBlock(Box<Captured>, Target),
    FilterBlock(Box<Captured>),
    For(Box<For>),
    If(Vec<(Expr, Vec<Stmt>)>, Vec<Stmt>),
    With(Vec<(Target, Expr)>, Scope, Vec<Stmt>),
    Macro(Name, Box<Function>),
    /// A call whose `caller()` is the body.
    Call(Expr, Box<Function>),
    /// What the assistant says.
    Generation(Box<Function>),
    Block(Box<Function>),
    Break,
    Continue,
    /// `include`, `import`, `extends`: there is nowhere to load a template from.
    Load(Expr, Vec<Name>),
}

/// A body whose text goes through filters.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) scope: Scope,
    pub(super) body: Vec<Stmt>,
    /// Filters around [`ExprKind::Captured`].
    pub(super) value: Expr,
}

#[derive(Debug)]
pub(super) struct For {
    pub(super) target: Target,
    pub(super) iter: Expr,
    pub(super) test: Option<Test>,
    /// The slot of `loop`, if the body mentions it.
    pub(super) looped: Option<usize>,
    /// A recursive loop is a function; its body is the loop's.
    pub(super) recursive: bool,
    pub(super) slots: usize,
    pub(super) scope: Scope,
    pub(super) body: Vec<Stmt>,
    pub(super) else_scope: Scope,
    pub(super) otherwise: Vec<Stmt>,
}

/// The condition of `for … if …`, which has variables of its own.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) target: Target,
    pub(super) scope: Scope,
    pub(super) condition: Expr,
}

#[derive(Debug)]
pub(super) enum Target {
    Name(Name),
    Tuple(Vec<Target>),
    /// An attribute of a namespace.
    Attr(Name, Box<str>),
}

#[derive(Debug)]
pub(super) enum Expr {
    Str(Box<str>),
    Int(i128),
    Float(f64),
    Bool(bool),
    None,
    Name(Name),
    /// The text of the block that is being filtered.
    Captured,
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attr(Box<Expr>, Box<str>),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<(Expr, Args)>),
    Filter(Box<(Expr, Named<FilterFn>, Args)>),
    Test(Box<(Expr, Named<TestFn>, Args)>),
    Not(Box<Expr>),
    And(Box<(Expr, Expr)>),
    Or(Box<(Expr, Expr)>),
    /// `if`, then, else.
    If(Box<(Expr, Expr, Option<Expr>)>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// `a + b + c`, from the left.
    Add(Vec<Expr>),
    Concat(Vec<Expr>),
    Math(Math, Box<(Expr, Expr)>),
    Minus(Box<Expr>),
    Plus(Box<Expr>),
}

/// A filter or a test; there may be none of this name.
#[derive(Debug)]
pub(super) struct Named<F> {
    pub(super) name: Box<str>,
    pub(super) function: Option<F>,
}

#[derive(Debug, Default)]
pub(super) struct Args {
    pub(super) values: Vec<Expr>,
    pub(super) named: Vec<(Box<str>, Expr)>,
    /// `*args` and `**kwargs`.
    pub(super) more: Option<Expr>,
    pub(super) more_named: Option<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Math {
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}
