//! Chat templates from someone who means harm, by number 29 of the list of hostile inputs: each is
//! an error, and takes no more than the budget of a rendering.

use std::time::{Duration, Instant};

use pretrained_tokenizer::{AutoTokenizer, ChatOptions, TokenizerFiles};
use serde_json::{Value, json};

#[test]
fn case_29_nested_loops_run_out_of_budget() {
    let loops = "{% for i in range(99999) %}".repeat(6) + &"{% endfor %}".repeat(6);
    runs_out(&loops);
    runs_out("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}");
    runs_out("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}");
}

#[test]
fn case_29_ten_gigabytes_of_text_are_not_made() {
    runs_out("{{ 'a' * 10000000000 }}");
    runs_out("{% set x = 'a' * 1000000 %}{{ (x ~ x ~ x) * 10000 }}");
    runs_out(
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    );
    runs_out(
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x.replace('a', 'aaaaaaaa') %}{% endfor %}{{ ns.x }}",
    );
    runs_out(
        "{% set ns = namespace(x=['aaaaaaaa']) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    );
    runs_out("{{ 'a'.zfill(10000000000) }}");
    runs_out("{{ 'a'.center(10000000000) }}");
    runs_out("{{ 'a'|center(10000000000) }}");
    runs_out("{{ '%10000000000d'|format(1) }}");
    runs_out("{{ '{:10000000000}'.format(1) }}");
    runs_out("{{ ('a' * 1000000)|indent(1000000) }}{{ ('a\\n' * 1000000)|indent(1000000) }}");
    runs_out("{{ range(99999)|list|tojson(indent=60)|replace('\\n', 'x' * 100000) }}");
    runs_out("{{ ('a' * 1000000).replace('a', 'b' * 100000) }}");
    runs_out("{{ (',' * 1000000).join(range(99999)|map('string')) }}");
    runs_out("{{ [0] * 10000000000 }}");
    refused("{{ 2 ** 10000000000 }}");
    runs_out("{{ '9' * 100000000 }}{{ ('9' * 10000000)|int * 10 }}");
}

#[test]
fn case_29_small_steps_add_up() {
    // Each is cheap by itself, and is asked for again and again.
    let twice = |step: &str| {
        format!(
            "{{% set ns = namespace(x='ab' * 500000, l=range(99999)|list) %}}\
             {{% for i in range(99999) %}}{step}{{% endfor %}}"
        )
    };
    for step in [
        "{{ ns.x == ns.x ~ '' }}",
        "{{ ns.x.strip(ns.x) }}",
        "{{ ns.x.count('a') }}",
        "{{ ns.x[::-1] }}",
        "{{ ns.x[499999] }}",
        "{{ ns.x is upper }}",
        "{{ ns.x|wordcount }}",
        "{{ ns.x.split('a')|length }}",
        "{{ 'b' in ns.l }}",
        "{{ ns.l|sort|first }}",
        "{{ ns.l|unique|first }}",
        "{{ ns.l == ns.l|list }}",
        "{{ ns.l|map('string')|join|length }}",
        "{{ ns.l[::2]|length }}",
        "{{ dict(ns.l[1:]|map('string')|batch(2))|length }}",
        "{{ '%s'|format(ns.l)|length }}",
        "{{ '{:>99999}'.format(i) }}",
        "{{ ns.x|tojson|length }}",
        "{{ ns.x|wordwrap(1)|length }}",
        "{{ ns.x|urlencode|length }}",
        "{{ ns.x.startswith((ns.x, ns.x)) }}",
    ] {
        runs_out(&twice(step));
    }
    refused("{% set ns = namespace(**dict(range(99998)|map('string')|batch(2))) %}{{ ns.a }}");
    runs_out("{{ (range(99999)|list * 20)|sum }}");
    runs_out("{{ range(99999)|map('string')|join('a' * 10000) }}");
    runs_out(
        "{% for a in range(3000) %}{% for b in messages * 3000 %}{{ b.role }}{% endfor %}{% endfor %}",
    );
}

#[test]
fn case_29_long_texts_are_paid_for_wherever_they_are_gone_through() {
    let set = "{% set x = 'A' * 1000000 %}{% set y = ('A' * 999999) ~ 'A' %}{% set d = {x: 1} %}\
               {% set t = (1,) * 1000000 %}{% set u = (t,) * 1000 %}{% for i in range(100000) %}";
    for step in [
        "{% set q = {x: 1} %}",
        "{{ d[y] }}",
        "{{ d.get(y) }}",
        "{{ y in d }}",
        "{{ d == {y: 1} }}",
        "{% set q = {t: 1} %}",
        "{% set q = {u: 1} %}",
        "{{ {}[t] }}",
        "{{ [t]|unique|list|length }}",
    ] {
        runs_out(&format!("{set}{step}{{% endfor %}}"));
    }
    let filters = "capitalize center escape filesizeformat float forceescape indent int length list \
         lower pprint striptags title tojson trim truncate(5) unique|list upper urlencode urlize \
         wordcount wordwrap sort";
    let methods = "strip split startswith('b') endswith('b') replace('b','c') lstrip rstrip upper \
         lower title capitalize find('b') rfind('b') count('b') rsplit splitlines partition('b') \
         rpartition('b') zfill(9) ljust(9) rjust(9) center(9) isdigit isalpha isalnum isspace \
         isupper islower istitle isnumeric isdecimal isascii isprintable isidentifier swapcase \
         casefold expandtabs removeprefix('b') removesuffix('b')";
    let filters = filters.split_whitespace().map(|filter| format!("x|{filter}"));
    let of_lists = ["sort", "unique|list", "min", "max"].map(|filter| format!("[x, y]|{filter}"));
    let groups = ["{x: 1}|dictsort", "[{'k': x}]|groupby('k')", "[{'k': x}]|sort(attribute='k')"];
    let methods = methods.split_whitespace().map(|method| {
        if method.ends_with(')') { format!("x.{method}") } else { format!("x.{method}()") }
    });
    let tests = ["lower", "upper", "in y", "eq y", "lt y"].map(|test| format!("x is {test}"));
    let all = filters.chain(of_lists).chain(groups.map(String::from)).chain(methods).chain(tests);
    for step in all {
        let error = refused(&format!("{set}{{% set q = {step} %}}{{% endfor %}}"));
        assert!(!error.contains("please report"), "{error}: {step}");
    }
}

#[test]
fn case_29_deep_nesting_is_refused() {
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
fn case_29_values_nested_without_end_are_refused() {
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
fn case_29_macros_that_call_themselves_are_refused() {
    refused("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}");
    refused("{% macro f(n) %}{{ f(n + 1) ~ f(n + 1) }}{% endmacro %}{{ f(0) }}");
    refused(
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
    );
    refused("{% for x in [[[]]] recursive %}{{ loop([[x]]) }}{% endfor %}");
}

#[test]
fn case_29_attributes_of_the_implementation_are_not_there() {
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
fn case_29_no_file_is_reached() {
    refused("{% include '/etc/passwd' %}");
    refused("{% include 'chat' %}");
    refused("{% import '/etc/passwd' as x %}");
    refused("{% from '/etc/passwd' import x %}");
    refused("{% extends '/etc/passwd' %}");
    refused("{% extends 'chat' %}");
}

#[test]
fn case_29_errors_do_not_tell_what_was_said() {
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
fn case_29_methods_of_a_truth_are_those_of_an_integer() {
    let template = "{{ true.bit_length() }}{{ false.bit_count() }}{{ true.conjugate() }}";
    assert_eq!(render(template).as_deref(), Ok("101"));
}

#[test]
fn case_29_syntax_errors_name_the_line() {
    let error = render("{{ 1 }}\n{% nosuchtag %}").expect_err("a syntax error");
    assert!(error.contains("line 2"), "{error}");
}

/// Templates put together of pieces of others, and damaged: whatever they are, they are rendered
/// or refused. `FUZZ_SECONDS` goes on for as long as one likes.
#[test]
fn case_29_no_template_is_a_surprise() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|it| it.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut rounds = 0;
    while rounds < ROUNDS || until.is_some_and(|until| Instant::now() < until) {
        rounds += 1;
        let template = random.template();
        if let Err(error) = render(&template) {
            assert!(!error.contains("please report"), "{error}: {template:?}");
            assert!(
                !error.contains("secret") || template.contains("raise"),
                "{error}: {template:?}"
            );
        }
    }
}

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn template(&mut self) -> String {
        let mut template = String::new();
        for _ in 0..=self.below(4) {
            let piece: Vec<char> = PIECES[self.below(PIECES.len())].chars().collect();
            let (a, b) = (self.below(piece.len() + 1), self.below(piece.len() + 1));
            match self.below(4) {
                0 => template.extend(&piece[a.min(b)..a.max(b)]),
                _ => template.extend(&piece),
            }
        }
        for _ in 0..self.below(4) {
            let mut chars: Vec<char> = template.chars().collect();
            let at = self.below(chars.len() + 1);
            match self.below(4) {
                0 if at < chars.len() => drop(chars.remove(at)),
                1 => chars.insert(at, CHARS[self.below(CHARS.len())]),
                2 => {
                    let word = WORDS[self.below(WORDS.len())];
                    chars.splice(at..at, word.chars());
                }
                _ => {
                    let end = (at + self.below(20)).min(chars.len());
                    let again: Vec<char> = chars[at..end].to_vec();
                    let to = self.below(chars.len() + 1);
                    chars.splice(to..to, again);
                }
            }
            template = chars.into_iter().collect();
        }
        template
    }
}

const ROUNDS: usize = 3000;
const CHARS: [char; 24] = [
    '{', '}', '%', '(', ')', '[', ']', '|', '.', ',', ':', '-', '+', '*', '"', '\'', '\\', '0',
    '9', 'é', '\n', ' ', '_', '=',
];
const WORDS: [&str; 40] = [
    "|first",
    "|last",
    "|list",
    "|sort",
    "|string",
    "|tojson",
    "|join(',')",
    "|int",
    "|float",
    "|length",
    "|reverse",
    "|unique",
    "|indent(3)",
    "|e",
    "|truncate(3)",
    "|map('upper')",
    "[::-1]",
    "[1:]",
    "[-1]",
    ".x",
    ".items()",
    " is defined",
    " is iterable",
    " in ",
    " not in ",
    " and ",
    " if ",
    " else ",
    " ** 99",
    " // 0",
    " % 7",
    " ~ ",
    " + ",
    " * -3",
    " == ",
    " < ",
    "none",
    "1e308",
    "'é'",
    "missing",
];
const PIECES: [&str; 40] = [
    "{% for m in messages %}{{ m.role }}{{ loop.index }}{% else %}x{% endfor %}",
    "{% for a, b in messages[0].items() if a %}{{ a }}{{ loop.nextitem }}{% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{{ loop(x) if x is iterable else x }}{% endfor %}",
    "{% for c in 'aéb' %}{% if loop.last %}{% break %}{% endif %}{{ loop.length }}{% endfor %}",
    "{% set ns = namespace(a=1, b=[]) %}{% set ns.b = ns.b + [ns.a] %}{{ ns }}",
    "{% set x %}a{{ messages }}b{% endset %}{{ x|upper }}",
    "{% set a, (b, c) = 1, (2, 3) %}{{ a }}{{ c }}",
    "{% macro m(a, b=2) %}{{ a }}{{ varargs }}{{ kwargs }}{{ caller() if caller }}{% endmacro %}",
    "{{ m(1, 2, 3, x=4) }}{{ m.arguments }}",
    "{% call(y) m(1) %}{{ y }}{% endcall %}",
    "{% filter indent(2, true) %}a\nb{% endfilter %}",
    "{% with a = 1, b = messages %}{{ a }}{{ b|length }}{% endwith %}",
    "{% generation %}{{ messages[0].content }}{% endgeneration %}",
    "{% block q %}{{ messages|first }}{% endblock %}",
    "{% if messages[0]['role'] == 'user' and not x %}a{% elif 1 %}b{% else %}c{% endif %}",
    "{% raw %}{{ x }}{% endraw %}{# c #}",
    "  {%- if true -%}\n x {%+ endif +%}\n",
    "{{ '%5.2f %s %(a)s' % (1.5, 'é') }}{{ '%d'|format(3.9) }}",
    "{{ '{:>5} {0[1]} {a!r:^9}'.format('é', a=[1]) }}",
    "{{ 'aéb c'.split('é') }}{{ 'aéb'.find('b', -2) }}{{ 'x'.center(9, 'é') }}",
    "{{ 'aéb'[1:][::-1] }}{{ 'aéb'.partition('é')[1].upper().title() }}",
    "{{ ' a\tb '.expandtabs(3).strip().replace('a', 'é', 1).zfill(9) }}",
    "{{ [3, 1, 2]|sort(reverse=true)|map('string')|join('-') }}",
    "{{ [{'k': 1}, {'k': 'a'}]|groupby('k')|list }}",
    "{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list }}",
    "{{ range(9)|batch(2, 'x')|list }}{{ range(9)|slice(4)|list }}",
    "{{ {'a': 1, 2: none}|tojson(indent=2, sort_keys=true) }}{{ {'b': 2}|dictsort }}",
    "{{ 'é b-c d'|wordwrap(2)|truncate(3, true) }}{{ '<a>'|striptags|e|safe }}",
    "{{ 10 ** 30 * 10 ** 9 }}{{ -7 // 2 }}{{ 7.5 % -2 }}{{ 2 ** -1 }}",
    "{{ '12_3'|int }}{{ '0x1f'|int(0, 16) }}{{ 'nan'|float }}{{ 1e308 * 10 }}",
    "{{ 2.675|round(2) }}{{ 1e20|round(-3, 'ceil') }}{{ 123456|filesizeformat }}",
    "{{ [1, 'a', none, 'nan'|float]|unique|list }}{{ [[1], [0]]|max }}",
    "{{ 1 in [1] in [[1]] }}{{ 'a' < 'b' < 'c' }}{{ {} == {} }}",
    "{{ (messages|last).content ~ messages[9].x }}{{ missing|default('é') }}",
    "{{ cycler('a', 'b').next() }}{{ joiner()() }}{{ dict(a=1, **{'b': 2}) }}",
    "{{ strftime_now('%Y-%m %é') }}{{ raise_exception('é') if 0 }}",
    "{{ range(5, 0, -2)[1:]|list }}{{ range(3).index(2) }}{{ (1, 2, 1).count(1) }}",
    "{{ 'é'|urlencode }}{{ {'a': 'é'}|xmlattr }}{{ 'a é'|wordcount }}{{ [1]|pprint }}",
    "{{ loop }}{{ self }}{{ m }}{{ range }}{{ messages.append }}{{ ''.__class__ }}",
    "{{ '\\u00e9\\x41\\101' 'b' }}{{ 1_000 + 0x1F + 1.5e3 }}",
];

fn refused(template: &str) -> String {
    let error = render(template).expect_err(&template[..template.len().min(200)]);
    assert!(!error.contains('\n'), "{error}");
    error
}

/// The budget of a rendering ends the template: how much it does is counted, not timed.
fn runs_out(template: &str) {
    let error = refused(template);
    assert!(error.contains("takes too long"), "{error}: {}", &template[..template.len().min(200)]);
}

fn render(template: &str) -> Result<String, String> {
    let json = r#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#;
    let files = TokenizerFiles::from_parts([("tokenizer.json", json.as_bytes().to_vec())]);
    let tokenizer = AutoTokenizer::from_files(files.expect("files")).expect("a tokenizer");
    let options = ChatOptions { chat_template: Some(template.into()), ..ChatOptions::default() };
    let messages: [Value; 1] = [json!({"role": "user", "content": "secret"})];
    tokenizer.apply_chat_template(&messages, &options).map_err(|e| e.to_string())
}
