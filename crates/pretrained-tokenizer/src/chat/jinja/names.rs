//! Finds names in a template's tree.

use super::{
    ast::{Args, Expr, Function, Stmt, StmtKind, Target},
    error::Result,
};

/// Visits the expressions that an expression is made of.
pub(super) fn children(
    expr: &mut Expr,
    visit: &mut dyn FnMut(&mut Expr) -> Result<()>,
) -> Result<()> {
    match expr {
        Expr::Str(_) | Expr::Int(_) | Expr::Float(_) | Expr::Bool(_) | Expr::None => Ok(()),
        Expr::Name(_) | Expr::Captured => Ok(()),
        Expr::List(items) | Expr::Tuple(items) | Expr::Add(items) | Expr::Concat(items) => {
            items.iter_mut().try_for_each(visit)
        }
        Expr::Dict(items) => items.iter_mut().try_for_each(|(key, value)| {
            visit(key)?;
            visit(value)
        }),
        Expr::Attr(it, _) | Expr::Not(it) | Expr::Minus(it) | Expr::Plus(it) => visit(it),
        Expr::Item(a, b) => {
            visit(a)?;
            visit(b)
        }
        Expr::Slice(it, parts) => {
            visit(it)?;
            parts.iter_mut().flatten().try_for_each(visit)
        }
        Expr::Call(it) => {
            visit(&mut it.0)?;
            args(&mut it.1, visit)
        }
        Expr::Filter(it) => {
            visit(&mut it.0)?;
            args(&mut it.2, visit)
        }
        Expr::Test(it) => {
            visit(&mut it.0)?;
            args(&mut it.2, visit)
        }
        Expr::And(it) | Expr::Or(it) | Expr::Math(_, it) => {
            visit(&mut it.0)?;
            visit(&mut it.1)
        }
        Expr::If(it) => {
            visit(&mut it.0)?;
            visit(&mut it.1)?;
            it.2.iter_mut().try_for_each(visit)
        }
        Expr::Compare(first, rest) => {
            visit(first)?;
            rest.iter_mut().try_for_each(|(_, it)| visit(it))
        }
    }
}

fn args(args: &mut Args, visit: &mut dyn FnMut(&mut Expr) -> Result<()>) -> Result<()> {
    args.values.iter_mut().try_for_each(&mut *visit)?;
    args.named.iter_mut().try_for_each(|(_, it)| visit(it))?;
    args.more.iter_mut().try_for_each(&mut *visit)?;
    args.more_named.iter_mut().try_for_each(visit)
}

/// Whether the name is read anywhere in the statements.
pub(super) fn mentions(body: &mut [Stmt], name: &str) -> bool {
    let mut found = false;
    walk(body, &mut |known, stored| found |= !stored && known == name);
    found
}

/// Whether the name is set anywhere in the statements.
pub(super) fn stores(body: &mut [Stmt], name: &str) -> bool {
    let mut found = false;
    walk(body, &mut |known, stored| found |= stored && known == name);
    found
}

/// Visits every name, and whether it is set there.
fn walk(body: &mut [Stmt], visit: &mut dyn FnMut(&str, bool)) {
    for stmt in body {
        match &mut stmt.kind {
            StmtKind::Text(_) | StmtKind::Break | StmtKind::Continue => {}
            StmtKind::Print(value) => walk_expr(value, visit),
            StmtKind::Set(to, value) => {
                target(to, visit);
                walk_expr(value, visit);
            }
            StmtKind::SetBlock(captured, to) => {
                target(to, visit);
                walk(&mut captured.body, visit);
                walk_expr(&mut captured.value, visit);
            }
            StmtKind::FilterBlock(captured) => {
                walk(&mut captured.body, visit);
                walk_expr(&mut captured.value, visit);
            }
            StmtKind::For(it) => {
                target(&it.target, visit);
                walk_expr(&mut it.iter, visit);
                if let Some(test) = &mut it.test {
                    walk_expr(&mut test.condition, visit);
                }
                walk(&mut it.body, visit);
                walk(&mut it.otherwise, visit);
            }
            StmtKind::If(branches, otherwise) => {
                for (condition, body) in branches {
                    walk_expr(condition, visit);
                    walk(body, visit);
                }
                walk(otherwise, visit);
            }
            StmtKind::With(variables, _, body) => {
                for (_, value) in variables {
                    walk_expr(value, visit);
                }
                walk(body, visit);
            }
            StmtKind::Macro(_, function)
            | StmtKind::Generation(function)
            | StmtKind::Block(function) => walk_function(function, visit),
            StmtKind::Call(call, function) => {
                walk_expr(call, visit);
                walk_function(function, visit);
            }
            StmtKind::Load(from, names) => {
                walk_expr(from, visit);
                names.iter().for_each(|name| visit(&name.text, true));
            }
        }
    }
}

fn walk_function(function: &mut Function, visit: &mut dyn FnMut(&str, bool)) {
    for param in &mut function.params {
        if let Some(default) = &mut param.default {
            walk_expr(default, visit);
        }
    }
    walk(&mut function.body, visit);
}

fn walk_expr(expr: &mut Expr, visit: &mut dyn FnMut(&str, bool)) {
    if let Expr::Name(name) = expr {
        visit(&name.text, false);
    }
    // Nothing in here fails.
    let _ = children(expr, &mut |child| {
        walk_expr(child, visit);
        Ok(())
    });
}

fn target(target_: &Target, visit: &mut dyn FnMut(&str, bool)) {
    match target_ {
        Target::Name(name) => visit(&name.text, true),
        Target::Attr(name, _) => visit(&name.text, false),
        Target::Tuple(targets) => targets.iter().for_each(|it| target(it, visit)),
    }
}
