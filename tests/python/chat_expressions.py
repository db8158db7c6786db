"""Single constructs of Jinja as chat templates use them, each rendered by transformers and by us.

Left out: what a web page or chance would need (`urlize`, `lipsum`, `random`, `autoescape true`), `self`, complex numbers,
numbers of more than 38 digits, lone surrogates, characters by name, `encode` and `maketrans`, and the addresses that Python prints of functions.

    python tests/python/chat_expressions.py --probe target/release/examples/probe
"""

import chat_constructs
from tokenizer_probe import arguments, main, render_both, scratch_tokenizer

MESSAGES = [
    {"role": "system", "content": "  You are  terse. "},
    {"role": "user", "content": "Hi 'there' \"you\"\n", "n": 3, "f": 0.5, "b": True, "l": [1, "a", None]},
    {"role": "assistant", "content": "Hello", "items": [1], "get": 2},
]
VARIABLES = {
    "s": "  a,b,,c  ", "d": {"b": 1, "a": {"x": [1.0, 2e20, 1e-7]}, "items": {"type": "string"}},
    "n": 7, "f": 2.0, "t": True, "none": None, "l": [3, 1, 2], "u": "äöü 你好 \u200b<&>'\"",
    "e": [], "words": ["b", "A", "c", "a"], "objs": [{"k": 2, "v": "x"}, {"k": 1, "v": "y"}],
}

EXPRESSIONS = """
s|trim
s.strip()
s.strip().split(',')
s.split()
s.split(',', 1)
s.split(',', maxsplit=1)
s.rsplit(',', 1)
s.split(',')[-1]
s.split(',')[::-1]
s[2:5]
s[::-1]
s.lstrip() ~ '|' ~ s.rstrip()
s.replace('a', 'z')
s.replace(',', '', 1)
s.upper()
s.title()
s.capitalize()
s.startswith('  a')
s.startswith(('x', '  a'))
s.endswith('  ')
s.find('b')
s.find('q')
s.index('b')
s.count(',')
s.strip().partition(',')
'a-b-c'.rpartition('-')
'x\\ny\\r\\nz'.splitlines()
'x'.join(['a', 'b'])
', '.join(words)
'abc'.isalpha()
'12'.isdigit()
'5'.zfill(3)
'a'.center(6, '*') ~ 'a'.ljust(3, '.') ~ 'a'.rjust(3)
'prefix-x'.removeprefix('prefix-')
'{} {}'.format(1, 'a')
'{0} {1} {0}'.format('x', 'y')
'%s is %d'|format('x', 3)
d
d.items()|list
d['items']
d.b
d.get('b')
d.get('zz')
d.get('zz', 'default')
d.keys()|list
d.values()|list
d['items'].type
d.a.x
d|length
d|tojson
d|tojson(indent=2)
d|tojson(indent=4)
d|tojson(sort_keys=true)
d|tojson(separators=(',', ':'))
u|tojson
u|tojson(ensure_ascii=true)
l|tojson
[1, 2.0, true, none, 'a', {'b': []}]|tojson
[]|tojson(indent=2)
{}|tojson
[1, 2.0, true, none, 'a', {'b': []}]
(1, 2)
(1,)
{'a': 1, 'b': [1, {'c': none}]}
true
none
none ~ 'x'
true ~ 1 ~ 1.5 ~ [1]
n / 2
n // 2
n % 4
n ** 2
-n
n + f
n * 2
f
f|int
'3'|int
'3.7'|float
'x'|int
'x'|int(5)
1e16
1e15
123456789012345678
0.1 + 0.2
1e-5
100000.0
l|sort
l|sort(reverse=true)
words|sort
words|sort(case_sensitive=true)
objs|sort(attribute='k')
objs|map(attribute='v')|list
objs|map(attribute='v')|join(', ')
objs|selectattr('k', 'equalto', 1)|list
objs|selectattr('k', 'gt', 1)|list
objs|rejectattr('k', '==', 1)|map(attribute='v')|list
objs|selectattr('zz')|list
objs|selectattr('v', 'defined')|list|length
objs|groupby('k')|list|length
objs|sum(attribute='k')
l|sum
l|max
l|min
l|first
l|last
e|first
e|last
l|reverse|list
s|reverse
l|unique|list
l|join
l|join('-')
l|batch(2)|list
l|list
'abc'|list
'abc'|first
d|dictsort
d|items|list
l|length
s|length
missing|length
missing|default('x')
missing|default('x', true)
''|default('x')
''|default('x', true)
none|default('x')
missing
missing ~ 'x'
missing == none
missing is none
missing is defined
missing is undefined
not missing
missing or 'y'
s|upper
s|lower
s|title
'hello world'|capitalize
s|replace('a', 'b')
'a\\nb'|indent(2)
'a\\nb\\n\\nc'|indent(4, true)
'a\\nb\\n\\nc'|indent(4, first=true, blank=true)
u|e
u|escape
'<b>'|safe
n|string
true|string
l|string
d|string
n|abs
2.567|round(2)
2.5|round
2.4|round(0, 'ceil')
'a b c'|wordcount
'a b c d e f'|truncate(5)
n is number
t is number
f is float
n is integer
t is integer
t is boolean
s is string
d is mapping
l is sequence
s is sequence
d is sequence
l is iterable
s is iterable
n is iterable
missing is iterable
none is none
n is odd
n is even
n is divisibleby(7)
n is eq 7
s is in [s]
'a' is in 'abc'
n is sameas n
t is true
t is false
s is lower
s is upper
n is callable
range is callable
1 in l
5 not in l
'b' in s
'b' in d
'zz' not in d
1 < 2
1 < 2 < 3
1 <= 1 and 2 >= 3 or 4 != 5
'a' < 'b'
not (1 == 1.0)
1 == true
'1' == 1
[1] == [1]
[1] + [2]
(1, 2) + (3,)
'a' * 3
[0] * 3
'a' 'b'
'a' if n > 3 else 'b'
'a' if n > 30
range(3)|list
range(1, 10, 3)|list
range(5, 0, -2)|list
l[0]
l[-1]
l[1:]
l[:-1]
l[::2]
l[99]
d['zz']
d.zz
d.a.zz
messages[0].content
messages[0]['content']
messages[-1].role
messages[1].n
messages[1].l
messages[2]['items']
messages[2].items()|list
messages[2].get('items')
messages|length
messages[1:]|length
messages|selectattr('role', 'equalto', 'user')|list|length
messages|map(attribute='role')|join(',')
(messages|last).role
messages|last|attr('role')
namespace(a=1).a
dict(a=1, b=2)
dict([('a', 1)])
raise_exception('no')
raise_exception('no ' ~ n)
undefined_function()
missing.attr
none.attr
n.attr
none + 1
'a' + 1
1 + 'a'
l + 1
none|length
n|length
n[0]
s.nope()
s.nope
l.append(4)
l.pop()
d.update({})
d.pop('a')
d.setdefault('q', 1)
s.__class__
''.__class__.__mro__
d.__init__
[].__class__
'a'|nosuchfilter
'a' is nosuchtest
1 / 0
1 // 0
1 % 0
l|tojson(indent=1, nope=2)
missing|tojson
range(200000)
messages[0].content.strip().split(' ')|select|join('_')
['a', '', 'b']|select|list
['a', '', 'b']|reject|list
l|map('string')|list
words|map('upper')|list
l|select('odd')|list
l|select('>', 1)|list
'a,b' | replace(',', ';') | upper
'x' ~ 1 + 2
1 ~ 2 * 3
2 + 3 ~ 4
-2 ** 2
2 ** 3 ** 2
not 1 == 2
'a' ~ none
'abc'[1]
'abc'[-1]
'abc'[5]
d.items is defined
d.nope is defined
messages[0].nope is defined
messages[0]['role'] == 'system' and messages[0].content
bos_token
pad_token
bos_token is defined
pad_token is defined
pad_token ~ 'x'
u
u.upper()
'ß'.upper()
u[::-1]
u|length
'\\u00e9'
'\\x41'
'tab\\there'
'\\''
"\\""
'a\\\\b'
1_000
0x10
0b11
1.5e3
{'a': 1}.a
{1: 2}
{1: 2}[1]
{true: 1, none: 2}|tojson
[none, true]|join
l is not none
n is not string
(n) is number
loop
'a'|center(5)
objs|map(attribute='k')|sum
objs|map(attribute='zz', default='q')|list
[[1, 2], [3]]|map('first')|list
[3, 1]|sort|first
'%.2f'|format(3.14159)
'%05d'|format(42)
3.0 == 3
3.0|string
7.0 // 2
7 / 7
10 / 4
1e3|int
'a' in ['a']
none in [none]
{} is mapping
{} == {}
[] is defined
'' is string
'' or 'b'
0 or 'b'
[] or 'b'
{} or 'b'
'a' and 'b'
'' and 'b'
not ''
(missing or {}).get('x')
(missing or {}).x
(none or 'x')
strftime_now('%Y')
strftime_now('%d %b %Y')
strftime_now('%Y-%m-%d')
strftime_now('%-d')
strftime_now('%A %B %j %y %%')
strftime_now('plain')
"x"|pprint
l|slice(2)|list
s|forceescape
'abc'|batch(2)|list
('<b>%s</b>'|safe) % '<'
('<b>%s</b>'|safe) % ('<'|safe)
'<b>%s</b>'|safe|format('<')
'%(a)s'|safe|format(a='<')
('%5.1f %6s %r %-5s|'|safe) % (1.5, 3, '<', '<')
('<b>{}</b>'|safe).format('<')
('{a} {0!r:>5} {0:>4}'|safe).format('<', a='&'|safe)
('{:>4}'|safe).format('<'|safe)
('{a}'|safe).format_map({'a': '<'})
'%s'|format('<'|safe)
'inf'|int
'nan'|int
'٣'|int ~ '१२'|int ~ '٣.٥'|float ~ '𝟗𝟘'|int
'٣'|int(base=2)
'ǆabc ﬁx 你a ΑΣ ΑΣΑ'.title()
'ǆabc ﬁx 你a ΑΣ'|title
'ǆabc'.capitalize() ~ 'ΑΣ'.capitalize() ~ 'ﬁx'.capitalize() ~ 'ß'.capitalize()
'ǅ'.istitle() ~ 'ǅa'.istitle() ~ 'ǅ'.isupper() ~ 'ǅ'.islower()
'ab'.translate({97: 'x', 98: none})
'ab'.translate({97: 66, 'b': 'x'})
'ab'.translate({97: 1.5})
'ि'.isalpha() ~ 'कि'.isalpha() ~ 'Ⅷ'.isalpha() ~ '½'.isnumeric() ~ '½'.isalnum() ~ '一'.isnumeric() ~ '①'.isdigit() ~ '᠐'.isdecimal()
['\\u0378', '\\u0b55', '\\U000e0100', '\\u0591', '\\ud7ff', '\\U0010ffff']
""".strip("\n").split("\n")

BLOCKS = [
    "{% for m in messages %}{{ loop.index }}/{{ loop.length }} {{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{% else %}none{% endfor %}",
    "{% for m in e %}x{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }};{% endfor %}",
    "{% for m in messages %}{% if loop.previtem is defined %}{{ loop.previtem.role }}>{% endif %}{{ m.role }}{% if loop.nextitem %}>{{ loop.nextitem.role }}{% endif %} {% endfor %}",
    "{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}{{ m.role }}{% endfor %}",
    "{% for m in messages %}{% if m.role == 'user' %}{% break %}{% endif %}{{ m.role }}{% endfor %}",
    "{% for m in messages %}{{ loop.cycle('a', 'b') }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.depth }}{% endfor %}",
    "{% for m in messages %}{{ loop.changed(m.role) }}{% endfor %}",
    "{% set x = 1 %}{% for m in messages %}{% set x = 2 %}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=1) %}{% for m in messages %}{% set ns.x = ns.x + 1 %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(_x=1) %}",
    "{% set ns = namespace({'a': 1}) %}{{ ns.a }}{{ ns.b }}{{ ns.b is defined }}",
    "{% if true %}{% set x = 5 %}{% endif %}{{ x }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set x %}  text {{ n }} {% endset %}[{{ x }}]{{ x|length }}",
    "{% set x | upper %}abc{% endset %}{{ x }}",
    "{% macro f(a, b='d', c=none) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 2) }} {{ f(1, c=3) }} {{ f() }}",
    "{% macro f(a) %}{{ a }}{{ n }}{% endmacro %}{{ f('x') }}",
    "{% set q = 1 %}{% macro f() %}{{ q }}{% endmacro %}{% set q = 2 %}{{ f() }}",
    "{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% macro f() %}[{{ caller() }}]{% endmacro %}{% call f() %}body {{ n }}{% endcall %}",
    "{% macro f() %}{{ caller(1) }}{% endmacro %}{% call(x) f() %}<{{ x }}>{% endcall %}",
    "{% macro f(x) %} {{ x }} {% endmacro %}[{{ f(1)|trim }}]",
    "{% filter upper %}abc{{ s }}{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}",
    "{% raw %}{{ x }}{% y %}{% endraw %}",
    "{# comment #}a{#- c -#} b {#  -#}  c",
    "  {% if true %}\n  x\n  {% endif %}\n y\n",
    "a\n  {%- if true -%}  \n x \n  {%- endif -%}  \n y",
    "{% if true -%}\n  x\n{%- else %} z {% endif %}\n\n",
    "  {{- n -}}  \n  {{ n }}\n\n",
    "a {%+ if true %}b{% endif +%}\nc",
    "{% for i in range(3) -%}\n    {{ i }}\n{%- endfor %}\n",
    "{%- for i in range(2) %}\n{{ i }}\n{% endfor -%}\n",
    "trailing\n",
    "trailing\n\n",
    "{{ n }}\r\n{% if t %}\r\nx\r\n{% endif %}\r\n",
    "{% if n > 5 %}a{% elif n > 3 %}b{% else %}c{% endif %}",
    "{% if messages[0].role == 'system' %}{% set sys = messages[0].content %}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}{{ sys|trim }}{{ rest|length }}",
    "{{ '<|im_start|>' + messages[0].role + '\\n' + messages[0].content }}",
    "{% for m in messages %}{% for c in m.content %}{{ c }}|{% endfor %}{% endfor %}",
    "{% for a in [[1, 2], [3, 4]] %}{% for b in a %}{{ loop.index }}{{ b }}{% endfor %}{% endfor %}",
    "{% for a in [[1, 2], [3, 4]] %}{% set outer = loop %}{% for b in a %}{{ outer.index }}{{ b }}{% endfor %}{% endfor %}",
    "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, b in [[1, 2], [3]] %}{{ a }}{{ b }}{% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}",
    "{% for i in none %}{% endfor %}",
    "{% for i in missing %}x{% else %}y{% endfor %}",
    "{% for i in n %}{% endfor %}",
    "{% for c in 'abc' %}{{ c }}.{% endfor %}",
    "{% block x %}inside{% endblock %}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% if false %}{% include 'x' %}{% endif %}ok",
    "{% nosuchtag %}",
    "{% if %}",
    "{% if true %}",
    "{{ n",
    "{% endif %}",
    "{{ }}",
    "{{ 'a }}",
    "{% do l.append(1) %}",
    "{% set messages = [] %}{{ messages|length }}",
    "{% set d.x = 1 %}",
    "{% set m = messages[0] %}{{ m.role }}",
    "{% generation %}x{% endgeneration %}y",
    "{%- generation -%} x {{ n }} {%- endgeneration -%} y",
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ loop.index }}{% endgeneration %}{% endif %}{% endfor %}",
    "{% generation %}{% set z = 1 %}{{ z }}{% endgeneration %}{{ z }}",
    "{% set ns = namespace(a=0) %}{% generation %}{% set ns.a = 2 %}{% endgeneration %}{{ ns.a }}",
    "{{ '{% generation %}' }}{% raw %}{% generation %}{% endraw %}",
    "{% generation %}",
    "{{ '<a>' }}{{ u }}",
    "{%- set tool_calls = messages|selectattr('tool_calls', 'defined')|list -%}{{ tool_calls|length }}",
    "{%- if tools is not none %}T{% endif %}{% if not tools %}N{% endif %}{{ tools is defined }}{{ documents is none }}",
    "{%- if add_generation_prompt is defined and add_generation_prompt %}P{% endif %}{{ add_generation_prompt }}",
    "{{ messages[0].role }}{{ messages[9].role }}",
    "{{ messages[9] }}x",
    "{{ (messages|selectattr('role', 'eq', 'nope')|first) }}x",
    "{{ (messages|selectattr('role', 'eq', 'nope')|list)[0].x }}x",
    "{{ ns is defined }}{% set ns = 1 %}{{ ns is defined }}",
    "{% set x = [] %}{% set x = x + [n] %}{% set x = x + [1] %}{{ x }}",
    "{% set x = {} %}{% set x = dict(x, a=1) %}{{ x }}",
    "{% set s2 = s.strip() %}{%- if ',' in s2 %}{{ s2.split(',')[0] }}{%- endif %}",
    "{{ s }}{{- s -}}{{ s }}",
    "line1\n{{ n }}\n{# c #}\nline2\n  {# c #}\nx",
    "\n\n{% if true %}\n\n{% endif %}\n\nx",
    "{% if true %}   {% endif %}   x",
    "{% macro outer() %}{% macro inner() %}i{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}",
    "{% macro f(d) %}{% for k, v in d.items() %}{{ k }}:{% if v is mapping %}{{ f(v) }}{% else %}{{ v }}{% endif %},{% endfor %}{% endmacro %}{{ f(d) }}",
    "{{ f(1) }}{% macro f(x) %}{{ x }}{% endmacro %}",
    "{% for m in messages %}{% macro g(x) %}{{ x }}{{ m.role }}{% endmacro %}{{ g(1) }}{% endfor %}",
    "{% set x = 'a' %}{% for i in [1,2] %}{{ x }}{% set x = 'b' %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set x = 1 %}{% with %}{% set x = 2 %}{% endwith %}{{ x }}",
    "{{ loop.index }}",
    "{{ messages | map(attribute='content') | map('trim') | join('|') }}",
    "{{ objs | map(attribute='v') | map('upper') | join(' ') }}",
    "{%- set a = namespace(list=[]) -%}{%- for m in messages -%}{%- set a.list = a.list + [m.role] -%}{%- endfor -%}{{ a.list }}",
    "{% set content = messages[1].content if messages[1].content is string else '' %}{{ content }}",
    "{{ {'a': n, 'b': [t, none]} | tojson }}",
    "{{ messages | tojson }}",
    "{{ messages[1] | tojson(indent=2) }}",
    "{{ messages[1] }}",
    "{%if n%}a{%endif%}{{n}}{%-if n-%} b {%-endif-%}",
    "{% if not n is defined %}a{% endif %}{% if n is not defined %}b{% endif %}",
    "{{ '\\n' }}{{ \"\\t\" }}|",
    "{{- '\n  multi\n' -}}",
    "{% set loop_messages = messages %}{%- for message in loop_messages %}{{ message['role'] }}{%- endfor %}",
    "a{% if true %}\nb{% endif %}\nc",
    "{{ [1,2,3][1:][0] }}{{ (1,2,3)[-1] }}{{ 'x'.join('abc') }}",
    "{{ none|string|length }}{{ none is string }}",
    "{{ 'a' if missing }}|{{ missing if false }}|",
    "{% for k, v in [('a', 1), ('b', 2)] %}{{ k }}{{ v }}{% endfor %}",
    "{% for x in d.values() %}{{ x }},{% endfor %}{% for x in d.keys() %}{{ x }},{% endfor %}",
    "{{ d.items()|length }}{{ d.items()|first }}{{ (d.items()|list)[0][0] }}",
    "{{ messages|reverse|map(attribute='role')|join(' ') }}{{ messages[::-1][0].role }}",
    "x{#",
    "x{# ",
    "x{% raw %}",
    "x{% raw %} ",
    "{% set x = f * 1e308 %}{{ (x * x)|int(5) }}",
    "{% set x = f * 1e308 %}{{ (x * x - x * x)|int(5) }}",
    "{{ strftime_now('%Z|%z|%+|%v|%05Y|%-5Y|%^B|%#p|%Q|') }}",
    "{% set last = messages|length - 1 %}{% for i in range(last, -1, -1) %}{{ i }}{{ messages[i].role }}{% endfor %}",
]


def compare(probe, _):
    tokenizer, directory = scratch_tokenizer()
    expressions = EXPRESSIONS + chat_constructs.EXPRESSIONS
    cases = ["{{ " + expression + " }}" for expression in expressions] + BLOCKS + chat_constructs.BLOCKS
    for template in cases:
        question = {"messages": MESSAGES, "template": template, "variables": VARIABLES}
        yield template, *render_both(probe, tokenizer, directory, question)


if __name__ == "__main__":
    main(compare, arguments(__doc__))
