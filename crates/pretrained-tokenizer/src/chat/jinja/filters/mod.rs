//! Jinja's filters.

mod html;
mod numbers;
mod select;
mod sequences;
mod texts;
mod wrap;

use super::{args::Args, error::Result, json::tojson, render::Run, value::Value};

pub(super) type FilterFn = for<'a> fn(&mut Run<'a>, Value<'a>, &Args<'a>) -> Result<Value<'a>>;

pub(super) fn find(name: &str) -> Option<FilterFn> {
    Some(match name {
        "abs" => numbers::abs,
        "attr" => select::attr,
        "batch" => sequences::batch,
        "capitalize" => texts::capitalize,
        "center" => texts::center,
        "count" | "length" => sequences::length,
        "d" | "default" => select::default,
        "dictsort" => sequences::dictsort,
        "e" | "escape" => html::escape,
        "filesizeformat" => numbers::filesizeformat,
        "first" => sequences::first,
        "float" => numbers::float,
        "forceescape" => html::forceescape,
        "format" => texts::format,
        "groupby" => sequences::groupby,
        "indent" => texts::indent,
        "int" => numbers::int,
        "items" => sequences::items,
        "join" => sequences::join,
        "last" => sequences::last,
        "list" => sequences::list,
        "lower" => texts::lower,
        "map" => select::map,
        "max" => sequences::max,
        "min" => sequences::min,
        "pprint" => texts::pprint,
        "random" => sequences::random,
        "reject" => select::reject,
        "rejectattr" => select::rejectattr,
        "replace" => texts::replace,
        "reverse" => sequences::reverse,
        "round" => numbers::round,
        "safe" => html::safe,
        "select" => select::select,
        "selectattr" => select::selectattr,
        "slice" => sequences::slice,
        "sort" => sequences::sort,
        "string" => texts::string,
        "striptags" => html::striptags,
        "sum" => sequences::sum,
        "title" => texts::title,
        "tojson" => tojson,
        "trim" => texts::trim,
        "truncate" => texts::truncate,
        "unique" => sequences::unique,
        "upper" => texts::upper,
        "urlencode" => html::urlencode,
        "urlize" => html::urlize,
        "wordcount" => texts::wordcount,
        "wordwrap" => wrap::wordwrap,
        "xmlattr" => html::xmlattr,
        _ => return None,
    })
}
