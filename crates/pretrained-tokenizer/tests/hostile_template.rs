//! Chat templates from someone who means harm: each is an error, at once.

use std::time::{Duration, Instant};

use pretrained_tokenizer::{AutoTokenizer, ChatOptions, TokenizerFiles};
use serde_json::{Value, json};

#[test]
fn nested_loops_run_out_of_fuel() {
    refused(&"{% for i in range(99999) %}".repeat(6));
    refused("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}");
    refused("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}");
}

#[test]
fn ten_gigabytes_of_text_are_not_made() {
    refused("{{ 'a' * 10000000000 }}");
    refused("{% set x = 'a' * 1000000 %}{{ (x ~ x ~ x) * 10000 }}");
    refused(
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    );
    refused(
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x.replace('a', 'aaaaaaaa') %}{% endfor %}{{ ns.x }}",
    );
    refused(
        "{% set ns = namespace(x=['aaaaaaaa']) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    );
    refused("{{ 'a'.zfill(10000000000) }}");
    refused("{{ 'a'.center(10000000000) }}");
    refused("{{ 'a'|center(10000000000) }}");
    refused("{{ '%10000000000d'|format(1) }}");
    refused("{{ '{:10000000000}'.format(1) }}");
    refused("{{ ('a' * 1000000)|indent(1000000) }}{{ ('a\\n' * 1000000)|indent(1000000) }}");
    refused("{{ range(99999)|list|tojson(indent=60)|replace('\\n', 'x' * 100000) }}");
    refused("{{ ('a' * 1000000).replace('a', 'b' * 100000) }}");
    refused("{{ (',' * 1000000).join(range(99999)|map('string')) }}");
    refused("{{ [0] * 10000000000 }}");
    refused("{{ 2 ** 10000000000 }}");
    refused("{{ '9' * 100000000 }}{{ ('9' * 10000000)|int * 10 }}");
}

#[test]
fn deep_nesting_is_refused() {
    refused(&format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)));
    refused(&format!("{{{{ {}1{} }}}}", "[".repeat(100_000), "]".repeat(100_000)));
    refused(&"{% if true %}".repeat(100_000));
    refused(&"{{ 1 }}".repeat(100_000));
    // Deep, but nothing wrong with it: it must only not end the process.
    for template in [
        format!("{{{{ {}1 }}}}", "-".repeat(200_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(60_000)),
        format!("{{{{ 1{} }}}}", "+1".repeat(100_000)),
        format!("{{{{ 'a'{} }}}}", "|upper".repeat(40_000)),
        format!("{{{{ messages{} }}}}", "[0]".repeat(80_000)),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(20_000)),
    ] {
        let _ = render(&template);
    }
}

#[test]
fn values_nested_without_end_are_refused() {
    refused(
        "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
    );
    refused(
        "{% set ns = namespace(x={}) %}{% for i in range(99999) %}{% set ns.x = {'a': ns.x} %}{% endfor %}{{ ns.x|tojson }}",
    );
    refused(
        "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = (ns.x,) %}{% endfor %}{{ ns.x == ns.x }}{{ ns.x|string }}",
    );
}

#[test]
fn macros_that_call_themselves_are_refused() {
    refused("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}");
    refused("{% macro f(n) %}{{ f(n + 1) ~ f(n + 1) }}{% endmacro %}{{ f(0) }}");
    refused(
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
    );
    refused("{% for x in [[[]]] recursive %}{{ loop([[x]]) }}{% endfor %}");
}

#[test]
fn attributes_of_the_implementation_are_not_there() {
    for probe in ["__class__", "__init__.__globals__", "__subclasses__()", "__dict__.keys()"] {
        for value in ["''", "messages", "messages[0]", "raise_exception", "namespace", "range"] {
            let template = format!("{{{{ {value}.{probe} }}}}");
            if let Ok(text) = render(&template) {
                assert_eq!(text, "", "{template}");
            }
        }
    }
    assert_eq!(render("{{ debug }}{{ __marker }}").expect("undefined"), "");
    refused("{{ debug() }}");
}

#[test]
fn no_file_is_reached() {
    refused("{% include '/etc/passwd' %}");
    refused("{% include 'chat' %}");
    refused("{% import '/etc/passwd' as x %}");
    refused("{% from '/etc/passwd' import x %}");
    refused("{% extends '/etc/passwd' %}");
    refused("{% extends 'chat' %}");
}

#[test]
fn errors_do_not_tell_what_was_said() {
    for template in [
        "{{ messages.x.y }}",
        "{{ messages[0].content.nope() }}",
        "{{ 1 / 0 }}",
        "{{ messages + 1 }}",
    ] {
        let error = render(template).expect_err("an error");
        assert!(!error.contains("secret"), "{error}");
        assert!(!error.contains('\n'), "{error}");
        assert!(error.starts_with("chat template: "), "{error}");
    }
}

#[test]
fn syntax_errors_name_the_line() {
    let error = render("{{ 1 }}\n{% nosuchtag %}").expect_err("a syntax error");
    assert!(error.contains("line 2"), "{error}");
}

fn refused(template: &str) {
    let start = Instant::now();
    let error = render(template).expect_err(&template[..template.len().min(200)]);
    let took = start.elapsed();
    assert!(!error.contains('\n'), "{error}");
    assert!(took < AT_ONCE, "{took:?}: {}", &template[..template.len().min(200)]);
}

fn render(template: &str) -> Result<String, String> {
    let json = r#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#;
    let files = TokenizerFiles::from_parts([("tokenizer.json", json.as_bytes().to_vec())]);
    let tokenizer = AutoTokenizer::from_files(files.expect("files")).expect("a tokenizer");
    let options = ChatOptions { chat_template: Some(template.into()), ..ChatOptions::default() };
    let messages: [Value; 1] = [json!({"role": "user", "content": "secret"})];
    tokenizer.apply_chat_template(&messages, &options).map_err(|e| e.to_string())
}

/// Unoptimized code on a busy machine gets more time.
const AT_ONCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 10_000 } else { 1000 });
