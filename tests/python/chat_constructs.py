"""More constructs, for `chat_expressions.py`: what Python's values, Jinja's filters and its scopes do at their edges."""

EXPRESSIONS = r"""
s|length
d|count
l|map('abs')|list
[-1, 2.5, true]|map('abs')|list
'x'|abs
missing|abs
d|attr('items') is defined
d|attr('b') is defined
s|attr('upper') is defined
missing|attr('x')
l|batch(2, 'f')|list
l|batch(5, 'f')|list
[]|batch(2)|list
l|batch(0)|list
l|slice(2, 'f')|list
l|slice(5)|list
l|slice(0)|list
range(7)|slice(3)|list
range(7)|batch(3, 0)|list
'hello WORLD'|capitalize
none|capitalize
'abc'|center(10) ~ '|'
'abc'|center(4) ~ '|'
'abcd'|center(7) ~ '|'
'ab'|center(5) ~ '|'
missing|d('x')
none|d('x', true)
0|default(5, boolean=true)
d|dictsort(by='value')|list
{'B': 1, 'a': 2}|dictsort
{'B': 1, 'a': 2}|dictsort(true)
{'B': 1, 'a': 2}|dictsort(reverse=true)
{'b': 1, 'a': 2}|dictsort(by='value')
{'b': 1, 'a': 2}|dictsort(by='nope')
'<a href="x">'|e
'<a>'|safe|e
'<a>'|e|e
'<a>'|e|forceescape
'<a>'|safe ~ '<b>'
('<a>'|safe) + '<b>'
'<b>' + ('<a>'|safe)
('<a>'|safe) is escaped
'x' is escaped
('<a>'|safe)|upper
['<a>'|safe]
('<a>'|safe)|length
('<'|safe) == '<'
('<'|safe) in ['<']
0|filesizeformat
1|filesizeformat
999|filesizeformat
1000|filesizeformat
1024|filesizeformat(true)
123456789|filesizeformat
123456789|filesizeformat(true)
1e30|filesizeformat
'x'|filesizeformat
d|first
''|first is defined
d|last
'abc'|last
range(3)|last
none|first
n|first
'1.5'|float
' 1e3 '|float
'1_000.5'|float
'1__0'|float
'nan'|float
'inf'|float
'-Infinity'|float
'x'|float
'x'|float(2.5)
none|float
true|float
missing|float
'%s-%s'|format(1, none)
'%(a)s %(b)d'|format(a=1, b=2)
'%s'|format(1, 2)
'%s %s'|format(1)
'%d'|format('x')
'%x %X %o'|format(255, 255, 8)
'%#x %#o'|format(255, 8)
'%e'|format(12345.678)
'%.3E'|format(12345.678)
'%g %g %g'|format(0.0001, 1e-5, 123456789)
'%g'|format(100000)
'%g'|format(1e6)
'%G'|format(1e-10)
'%+d % d %+d'|format(5, 5, -5)
'%5s|%-5s|%05d|%5.1f'|format('a', 'b', -42, 3.14159)
'%.2s'|format('abcdef')
'%c%c'|format(65, 'b')
'%r %a'|format('ä', 'ä')
'%%'|format()
'%*d'|format(5, 42)
'%.*f'|format(2, 3.14159)
'%i %u'|format(3.9, -3.9)
'%q'|format(1)
'%'|format(1)
'%s' % 'x'
'%s %s' % (1, 'b')
'%(k)s' % {'k': 5}
'%(zz)s' % {'k': 5}
'%s' % [1, 2]
'abc' % []
'abc' % {}
'abc' % 1
'%d%%' % 50
objs|groupby('k')|map(attribute='grouper')|list
objs|groupby('k')|map('first')|list
objs|groupby('k')|first
(objs|groupby('k')|first).grouper
(objs|groupby('k')|first).list
(objs|groupby('k')|first)[1]
objs|groupby('zz', default='q')|list
words|groupby(0)|list
[{'a': 'X'}, {'a': 'x'}, {'a': 'y'}]|groupby('a')|list
[{'a': 'X'}, {'a': 'x'}]|groupby('a', case_sensitive=true)|list
'a\nb'|indent
'a\nb'|indent('>>')
'a\n\nb\n'|indent(2)
'a\n\nb\n'|indent(2, blank=true)
''|indent
''|indent(first=true)
n|indent
'12'|int
' 12 '|int
'-12'|int
'+7'|int
'1_000'|int
'0x1A'|int(base=16)
'0x1A'|int(0, 0)
'1A'|int(base=16)
'0b101'|int(base=2)
'z'|int(base=36)
'077'|int(base=8)
'1e3'|int
'inf'|int
'nan'|int(7)
none|int
none|int(9)
true|int
[1]|int
missing|int
-3.9|int
(-3.9)|int
'12.9'|int
''|int
{'a': 1}|items|list
missing|items|list
none|items|list
[1, none, 'a', 2.0]|join(',')
objs|join(',', attribute='v')
d|join('-')
'abc'|join('-')
none|join
'ÄB'|lower
none|lower
true|upper
objs|map(attribute='zz')|list
objs|map(attribute='zz', default=none)|list
objs|map('attr', 'k')|list
[[1, [2]], [3, [4]]]|map(attribute='1.0')|list
['a b', 'c']|map('replace', ' ', '_')|list
['1', 'x']|map('int', default=7)|list
['a']|map('nope')|list
['a']|map()|list
objs|map(attribute='k', nope=1)|list
l|map('string')|join
missing|map('upper')|list
none|map('upper')|list
words|max
words|min
words|max(case_sensitive=true)
objs|max(attribute='k')
objs|min(attribute='v')
[]|max
[1, 'a']|max
[]|min is defined
d|pprint
'x'|pprint
[3, 'a', none]|pprint
l|reject('odd')|list
objs|rejectattr('zz')|list|length
objs|rejectattr('zz', 'defined')|list|length
l|select('in', [1, 2])|list
l|select('divisibleby', 3)|list
l|select('nope')|list
[0, 1, '', 'a', none, [], [0]]|select|list
[0, 1, '', 'a', none]|reject|list
objs|selectattr('k', 'ne', 1)|map(attribute='v')|join
objs|selectattr('v', 'in', ['x'])|list
objs|selectattr()|list
messages|selectattr('role', '==', 'user')|map(attribute='n')|first
messages|selectattr('n')|list|length
'aXbX'|replace('X', 'y', 1)
123|replace(2, 'x')
'abc'|replace('', '-')
none|replace('None', 'x')
l|reverse|first
d|reverse|list
'äöü'|reverse
range(3)|reverse|list
(1, 2)|reverse|list
none|reverse
2.5|round
3.5|round
-2.5|round
2.675|round(2)
1234|round(-2)
1250|round(-2)
1350|round(-2)
1234.5|round(-2)
7|round
7|round(1, 'floor')
2.1|round(0, 'floor')
2.15|round(1, 'ceil')
-2.15|round(1, 'floor')
2|round(method='nope')
'x'|round
true|round
[[1, 2], [3]]|sum(start=[])
[1, 2.5, true]|sum
['a']|sum
[]|sum
[[2, 'b'], [1, 'a']]|sort
objs|sort(attribute='v', reverse=true)|map(attribute='v')|list
objs|sort(attribute='k,v')|map(attribute='k')|list
[1, 'a']|sort
[none, 1]|sort
['b', 'A', 'a', 'B']|sort
['b', 'A', 'a', 'B']|sort(case_sensitive=true)
['b', 'A', 'a', 'B']|sort(reverse=true)
d|sort
'cab'|sort
{'z': 1, 'a': 2}|sort|join
[3, 1.5, true]|sort
12.0|string
'<p>Hello  <b>x</b> &amp; y</p>'|striptags
'<!-- c -->a <i>b</i>'|striptags
'hello wORLD-foo (bar) [baz]'|title
'they\'re 3rd'|title
'they\'re 3rd x_y'.title()
none|title
'xxaxx'|trim('x')
'  a '|trim
none|trim
missing|trim ~ '|'
n|trim
'hello world foo bar baz'|truncate(11)
'hello world foo bar baz'|truncate(11, true)
'hello world foo bar baz'|truncate(11, true, '!')
'hello world foo bar baz'|truncate(11, leeway=0)
'hello world'|truncate(9)
'hello world'|truncate(9, leeway=0)
'hello world'|truncate(2)
'hello'|truncate(100)
['a', 'A', 'b', 'a']|unique|list
['a', 'A', 'b', 'a']|unique(true)|list
objs|unique(attribute='k')|map(attribute='k')|list
[1, 1.0, true, 2]|unique|list
[[1], [1]]|unique|list
'a b&c/d=ä'|urlencode
{'a b': 'c&d', 'e': 1}|urlencode
[('a', 1), ('b', '/')]|urlencode
42|urlencode
'one two, three_four 5'|wordcount
''|wordcount
none|wordcount
'aaa bbb ccc ddd'|wordwrap(7)
'aaa bbb ccc\nddd eee'|wordwrap(7)
'aaaaaaaaaa bb'|wordwrap(4)
'aaaaaaaaaa bb'|wordwrap(4, false)
'aaa bbb'|wordwrap(3, true, '|')
'well-known thing'|wordwrap(6)
'well-known thing'|wordwrap(6, break_on_hyphens=false)
'a  b   c'|wordwrap(4)
''|wordwrap
'a\n\nb'|wordwrap(5)
{'class': 'a b', 'id': none, 'x': 1}|xmlattr
{'class': '<>'}|xmlattr(false)
{'a b': 1}|xmlattr
{}|xmlattr
'upper' is filter
'nope' is filter
'odd' is test
'nope' is test
1 is eq(1)
1 is equalto 2
1 is ne 2
1 is lt 2
2 is greaterthan 1
1 is lessthan(0)
3 is ge 3
3 is le 2
'a' is in 'abc'
'z' is in ['a']
'x' is odd
3.0 is odd
missing is odd
7 is divisibleby 2
7 is divisibleby(0)
true is integer
true is number
1 is number
1.0 is integer
'1' is number
none is string
range(3) is sequence
range(3) is iterable
(l|map('abs')) is sequence
(l|map('abs')) is iterable
d.items() is iterable
d.items() is sequence
namespace(a=1) is mapping
namespace is callable
missing is callable
s.upper is callable
'abc' is lower
'ABC' is upper
'' is lower
'a1' is lower
none is sameas none
l is sameas l
1 is sameas true
1 is not eq 2
not 1 is eq 1
-1 is number
- 1 is odd
'a' is string and 'b' is string
true is boolean
none is none is none
l.count(1)
l.index(2)
l.index(9)
(1, 2, 1).count(1)
(1, 2).index(2)
range(5).index(3)
range(5).count(3)
range(2, 10, 2).start
d.copy() == d
l.copy()
d.get('b', 5)
d.get()
d.get(1, 2, 3)
d.fromkeys(['a', 'b'], 0)
dict.fromkeys(['x'])
d.keys()
d.values()
{'a': 1}.items()
{'a': 1}.keys()
{'a': 1}.values()|sum
'b' in d.keys()
1 in d.values()
('b', 1) in d.items()
d.nope()
d.b.real
n.real
n.imag
n.bit_length()
(255).bit_count()
f.is_integer()
(1.5).is_integer()
f.real
s.splitlines()
'a\r\nb\x0bc\u2028d'.splitlines()
'a\nb'.splitlines(true)
'a,b,c'.split(',', -1)
'a,b,c'.split(',', 0)
'a,b,c'.split(sep=',')
' a  b '.split(' ')
' a  b  c '.split(none, 1)
' a  b  c '.rsplit(none, 1)
'a b c'.rsplit(maxsplit=1)
'abc'.split('')
''.split()
''.split(',')
'a'.split(1)
'xxabcxx'.strip('x')
'xyabcyx'.strip('xy')
'xabc'.lstrip('x')
'abcx'.rstrip('x')
' a '.strip(none)
'abc'.strip(1)
'abcabc'.find('c', 3)
'abcabc'.find('a', -3)
'abcabc'.rfind('b')
'abcabc'.rindex('z')
'abc'.find('')
'abc'.find('', 4)
'aaa'.count('a')
'aaa'.count('aa')
'aaa'.count('')
'abcabc'.count('a', 1)
'abc'.replace('b', 'xx')
'abc'.replace('b')
'aaa'.replace('a', 'b', 2)
'aaa'.replace('a', 'b', -1)
'abc'.startswith('b', 1)
'abc'.startswith('')
'abc'.startswith(['a'])
'abc'.endswith(('x', 'c'))
'abc'.endswith('b', 0, 2)
'abc'.join(['x', 'y'])
'-'.join('abc')
'-'.join([1])
'-'.join(d)
'-'.join([])
'a-b'.partition('-')
'ab'.partition('-')
'a-b-c'.rpartition('-')
'ab'.rpartition('-')
'ab'.partition('')
'HeLLo'.swapcase()
'ας ΑΣ.Σ İΣ'.swapcase()
[1] is filter
(1, [2]) is test
1 is filter
'HELLO'.casefold()
'ß'.casefold()
'hello world'.capitalize()
'ǆabc'.upper()
'ÀÉ'.lower()
'42'.zfill(5)
'-42'.zfill(5)
'+4'.zfill(5)
'ab'.ljust(4) ~ '|'
'ab'.rjust(4) ~ '|'
'ab'.center(5) ~ '|'
'ab'.center(5, '*')
'ab'.ljust(4, 'xy')
'a\tb'.expandtabs()
'a\tb'.expandtabs(4)
'abc'.isalpha()
'ab1'.isalpha()
'ab1'.isalnum()
''.isalpha()
'12'.isdigit()
'²'.isdigit()
'²'.isdecimal()
'½'.isnumeric()
'½'.isdigit()
'１２'.isdecimal()
' \t'.isspace()
''.isspace()
'Hello World'.istitle()
'Hello world'.istitle()
'abc'.islower()
'aBc'.islower()
'ABC1'.isupper()
'abc'.isascii()
'ä'.isascii()
'a_1'.isidentifier()
'1a'.isidentifier()
'a b'.isprintable()
'a\n'.isprintable()
'unhappy'.removeprefix('un')
'happy'.removesuffix('py')
'{}'.format(1)
'{} {}'.format(1)
'{0}{1}{0}'.format('a', 'b')
'{a} {b}'.format(a=1, b='x')
'{0} {}'.format(1, 2)
'{} {0}'.format(1, 2)
'{{}}'.format()
'{'.format()
'}'.format()
'{!r}'.format('a')
'{!s:>5}'.format('a')
'{!a}'.format('ä')
'{!q}'.format('a')
'{:>5}|{:<5}|{:^5}'.format('a', 'b', 'c')
'{:*^7}'.format('abc')
'{:05d}'.format(42)
'{:05d}'.format(-42)
'{:+d} {: d}'.format(5, 5)
'{:,}'.format(1234567)
'{:_}'.format(1234567)
'{:,.2f}'.format(1234567.891)
'{:x} {:X} {:#x} {:o} {:b} {:#b}'.format(255, 255, 255, 8, 5, 5)
'{:.2f}'.format(3.14159)
'{:.3}'.format(3.14159)
'{:.3}'.format('abcdef')
'{:e}'.format(12345.678)
'{:g}'.format(0.00001)
'{:%}'.format(0.25)
'{:.1%}'.format(0.256)
'{:10.3f}|'.format(2.5)
'{:<10.3f}|'.format(2.5)
'{:d}'.format(2.5)
'{:s}'.format(2)
'{:c}'.format(65)
'{}'.format(none)
'{:5}'.format(none)
'{}'.format(true)
'{:d}'.format(true)
'{}'.format([1, 'a'])
'{0.real}'.format(5)
'{0[a]}'.format({'a': 7})
'{0[1]}'.format([1, 2])
'{x[a]}'.format(x={'a': 7})
'{:{}}'.format('a', 5)
'{:{w}.{p}f}'.format(3.14159, w=8, p=2)
'{0.__class__}'.format(5)
'{a}'.format_map({'a': 1})
'{}'.format(2.0)
'{}'.format(missing)
7 // 2
-7 // 2
7 // -2
7.5 // 2
-7.5 // 2
7 % 3
-7 % 3
7 % -3
-7.5 % 2
7.5 % -2
5 % 0
5.0 // 0
5 / 0.0
2 ** -1
2 ** 0.5
2 ** 100
0 ** 0
0 ** -1
(-2) ** 3
-2 ** 3
10 ** 20
9223372036854775807 + 1
-9223372036854775808 - 1
99999999999 * 99999999999
1e308 * 10
1 + true
true + true
true * 3
'ab' * 2
2 * 'ab'
'ab' * -1
'ab' * 1.5
[1] * 2
(1, 2) * 2
[1] + (2,)
[1] - [1]
'a' - 'b'
{} + {}
none + none
missing + 1
1 + missing
'a' + missing
missing + 'a'
'a' ~ missing
-'a'
+5
+true
-true
- - 5
not not 1
1.0
1e3
1e22
1e-4
1.5e-7
123456789.123
0.1 + 0.7
1 / 3
100 / 10
2.0 * 3
1e16 + 1
3 == 3.0
true == 1
'a' == 'a'
'a' != 'b'
[1, 2] == [1, 2.0]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1.0}
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
none == false
none == none
missing == missing
missing != none
missing < 1
1 < 'a'
[1, 2] < [1, 3]
[1] < [1, 0]
(1, 'a') < (1, 'b')
'Z' < 'a'
none < none
1 < 2 < 3 < 4
1 < 3 > 2
1 == 1 == 1
1 in [1] in [[1]]
'' in 'abc'
1 in 'abc'
'a' in none
'a' in 5
'a' in missing
missing in [1]
missing in 'abc'
[1] in d
2 in range(3)
2.0 in range(3)
'a' not in 'b'
1 not in (1, 2)
1 if true
1 if false
(1 if false) is defined
1 if false else 2 if false else 3
(1 if 0 else 2) + 1
[1, 2, 3][0]
[1, 2, 3][-1]
[1, 2, 3][5]
[1, 2, 3][true]
[1, 2, 3]['a']
[1, 2, 3][1.0]
[1, 2, 3][none]
l.0
l.1.real
l[0:2]
l[:]
l[-2:]
l[5:]
l[::-1]
l[::0]
l[2:0:-1]
l[-1:-3:-1]
l['a':]
l[none:2]
(1, 2, 3)[1:]
'hello'[1:3]
'hello'[::-1]
'hello'[-3:-1]
'hello'[::2]
'äöü'[1]
'äöü'[1:]
'abc'['x']
range(10)[2:5]
range(10)[3]
range(10)[::3]|list
range(10)[-1]
d['b']
d['b', 1]
d[1]
d[[1]]
d[missing]
{(1, 2): 'x'}[1, 2]
{1: 'a', 1.0: 'b', true: 'c'}
{'a': 1, 'a': 2}
{none: 1}[none]
{[1]: 2}
n.x
n['x']
none['x']
none.x
missing['x']
missing.x.y
s.x
s['upper'] is defined
s['nope'] is defined
l['append'] is defined
l.append is defined
d.update is defined
d.pop is defined
d['pop'] is defined
s._x is defined
d.__class__ is defined
''.__class__
(''.__class__).x
range(5)
range(1, 5)
range(0, 10, 2)
range(3, 0)
range(5)|length
range(100001)
range(1, 2, 0)
range()
range('a')
range(2.0)
range(true)|list
dict()
dict(a=1)
dict({'a': 1}, b=2)
dict([['a', 1]])
dict([1])
dict(1)
namespace()
namespace(a=1)
namespace(a=1).b
namespace({'a': 1}, b=2).b
namespace(a=1)['a']
namespace(_a=1)
cycler('a', 'b').next()
cycler()
cycler('a').current
joiner()()
joiner('|')() ~ 'x'
lipsum is defined
range is defined
raise_exception()
raise_exception('a', 'b')
raise_exception(message='named')
raise_exception(none)
raise_exception([1])
strftime_now()
strftime_now(1)
strftime_now(format='%Y')
caller is defined
loop is defined
varargs is defined
[1, 2, 3,]
(1, 2, 3,)
{'a': 1,}
()
(1)
[[], {}, ()]
[1, [2, [3, [4]]]]|string
{'a': {'b': [1, (2,)]}}|string
'it''s'
"a" "b" 'c'
'\u4e2d\x41\101\0'
'a\
b'
'\q\d'
'\ä'
'\U0001F600'
'\xZZ'
"'"
'"'
['it\'s', 'say "x"', 'both \' "']
['\n\t\r\\\x00\x7f', '\u200b\xa0']
'é'|tojson
'</script>'|tojson
'\x7f\u2028'|tojson
'\x7f\u2028\U0001F600'|tojson(ensure_ascii=true)
[1, [2, {'a': []}]]|tojson(indent=2)
{'a': {}}|tojson(indent=2)
[]|tojson(indent=0)
[1, 2]|tojson(indent=0)
[1, 2]|tojson(indent='\t')
[1, 2]|tojson(indent=true)
[1, 2]|tojson(indent=none)
[1, 2]|tojson(separators=(',', ':'))
{'a': 1}|tojson(separators=[' ', '='])
{'a': 1}|tojson(separators=',:')
{'a': 1}|tojson(separators=5)
{'b': 1, 'a': 2}|tojson(sort_keys=true, indent=1)
{1: 2, none: 3, true: 4, 1.5: 5}|tojson
{(1, 2): 3}|tojson
(1, 2)|tojson
1e400|tojson
'nan'|float|tojson
range(3)|tojson
d.items()|tojson
(l|map('abs'))|tojson
namespace()|tojson
[missing]|tojson
true|tojson
1.0|tojson
1e20|tojson
1e-7|tojson
123456789012345678901234567890|tojson
('<a>'|safe)|tojson
0x1f + 0b11 + 0o17
1__0
00
01
1.
.5
1..x
1.5.real
0xg
5 if n else
n is
n |
n | | upper
[1, 2
{'a': }
(1, 
{1, 2}
f(
x y
a = 1
n ? 1 : 2
n && 1
n || 1
!n
n++
@x
$x
`x`
lambda: 1
n is defined is defined
s|trim|upper|replace(',', '')|length
(s|trim).split(',')|first|upper
s.strip().split(',')[0].upper()
messages[0]['content']|trim|length
messages|map(attribute='role')|unique|list
messages|map(attribute='role')|reverse|join
messages|length > 2 and messages[0].role == 'system'
messages[1:]|map(attribute='role')|list
messages[-1]['content'][0]
messages[0].items()|list|length
messages[1].items()|map('first')|list
messages|selectattr('role', 'in', ['user', 'system'])|map(attribute='role')|list
messages|map(attribute='content')|map('length')|list
messages|map('tojson')|join('\n')
messages|tojson(indent=2)
(messages|first).content
(messages|last)['items']
(messages|selectattr('role', 'eq', 'user')|first).content
(messages|selectattr('role', 'eq', 'zz')|first) is defined
messages|sum(attribute='n')
messages|groupby('role')|map('first')|list
u|urlencode
u|upper
u|title
u|center(30)
u|wordcount
u|truncate(5, true, '', 0)
u.split()
u|list|length
u|batch(4)|map('join')|list
('a', 'b')|join('/')
d|tojson|length
d|string|length
d == d.copy()
none|default
none|tojson
none|list
none|join(',')
true and 'x'
false or 'y'
1 and 0 or 'z'
true|string ~ false|string
""".strip("\n").split("\n")
# One construct above goes over two lines.
EXPRESSIONS = [e for e in EXPRESSIONS if e not in ("'a\\", "b'")] + ["'a\\\nb'"]

BLOCKS = [
    "{% set g = l|map('abs') %}{{ g|list }}{{ g|list }}",
    "{% set g = [1, 'x']|map('round') %}{% for x in g %}{{ x }}{% endfor %}",
    "{% if l|select('gt', 99) %}truthy{% endif %}",
    "{% for a in l if a > 1 %}{{ loop.index }}/{{ loop.length }}:{{ a }} {% endfor %}",
    "{% for a in l if a > 1 %}{{ a }}{{ loop.last }}{% endfor %}",
    "{% for a in l|map('abs') %}{{ a }}{{ loop.revindex }}{{ loop.nextitem }}{% endfor %}",
    "{% set ns = namespace(stop=false) %}{% for a in l if not ns.stop %}{{ a }}{% set ns.stop = true %}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for a in l if a > ns.n %}{{ a }}{{ loop.length }}{% set ns.n = 9 %}{% endfor %}",
    "{% for a in l %}{% continue %}{% else %}E{% endfor %}",
    "{% for a in l %}{% break %}{% else %}E{% endfor %}",
    "{% for a in l %}{{ a }}{% if loop.index == 2 %}{% break %}{% endif %}{% else %}E{% endfor %}",
    "{% for a in l %}{% set x = a %}{% if a == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}{{ x }}",
    "{% for a in l %}{% for b in l %}{% if b == a %}{% break %}{% endif %}{{ b }}{% else %}-{% endfor %},{% endfor %}",
    "{% break %}",
    "{% for a in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for a in l %}{% set z %}x{% continue %}{% endset %}{{ z }}{% endfor %}",
    "{% for a in l %}{% with q = a %}{% if q == 1 %}{% break %}{% endif %}{{ q }}{% endwith %}{% endfor %}",
    "{% for loop in l %}{% endfor %}",
    "{% for a in l %}{% set loop = 1 %}{% endfor %}",
    "{% for a in l %}{{ loop }}{% endfor %}",
    "{% for a in l %}{{ loop.nope }}{{ loop['index'] }}{% endfor %}",
    "{% for a in l %}{{ loop(a) }}{% endfor %}",
    "{% for a in l %}{{ loop.cycle() }}{% endfor %}",
    "{% for a in [1, 1, 2, 2, 1] %}{{ loop.changed(a) }},{% endfor %}",
    "{% for a in [1, 1.0, 2] %}{{ loop.changed(a, 'x') }}{{ loop.depth0 }}{% endfor %}",
    "{% for a in 'äb' %}{{ loop.index }}{{ a }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in ['xy', 'zw'] %}{{ b }}{{ a }}{% endfor %}",
    "{% for a, b in [1] %}{% endfor %}",
    "{% for a in l recursive %}{{ a }}{% if loop.depth < 3 %}({{ loop([a]) }}){% endif %}{% endfor %}",
    "{% for a in [] recursive %}x{% else %}none{% endfor %}",
    "{% set q = 1 %}{% for a in l recursive %}{% set q = q + 1 %}{{ q }}{% endfor %}{{ q }}",
    "{% for x in [{'c': [{'c': []}]}] recursive %}{{ loop.index }}{{ loop.depth }}{{ loop(x.c) if x.c }}{% endfor %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a, b = [1] %}",
    "{% set (a, b) = (1, 2) %}{{ a }}{{ b }}",
    "{% set a = 1, %}{{ a }}",
    "{% set ns = namespace(a=1) %}{% set ns.a, x = 5, 6 %}{{ ns.a }}{{ x }}",
    "{% set ns = namespace() %}{% set ns.q = 1 %}{% set ns.q = ns.q + 1 %}{{ ns.q }}{{ ns }}",
    "{% set ns = namespace() %}{% set ns._q = 1 %}",
    "{% set l.x = 1 %}",
    "{% set none = 1 %}",
    "{% set 'a' = 1 %}",
    "{% set x = 1 if false %}{{ x is defined }}",
    "{% set x %}a{{ n }}b{% endset %}{{ x }}{{ x|length }}",
    "{% set x | upper | replace('A', 'z') %}a{{ n }}b{% endset %}{{ x }}",
    "{% set x %}{% set y = 5 %}{{ y }}{% endset %}{{ x }}{{ y }}",
    "{% set x = 1 %}{% set y %}{{ x }}{% set x = 2 %}{{ x }}{% endset %}{{ y }}{{ x }}",
    "{% with %}{% set z = 3 %}{{ z }}{% endwith %}{{ z }}",
    "{% autoescape false %}{% set z = '<' %}{{ z }}{{ z|e }}{{ l|string|safe ~ z }}{% endautoescape %}{{ z }}",
    "{% set a = 1 %}{% for x in l %}{% autoescape False %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{{ a }}{% set a = x %}{% endautoescape %}{% endfor %}{{ a }}",
    "{% macro m(x) %}{% autoescape false %}{{ caller() }}<{{ x }}>{% endautoescape %}{% endmacro %}{% call m('&') %}{{ '<' }}{% endcall %}",
    "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}",
    "{% filter upper %}{% set v = 'x' %}{{ v }}a{% endfilter %}{{ v }}",
    "{% filter replace('a', 'b')|upper %}banana{% endfilter %}",
    "{% filter indent(2) %}a\nb{% endfilter %}",
    "{% filter nope %}a{% endfilter %}",
    "{% if false %}{% filter nope %}a{% endfilter %}{% endif %}ok",
    "{% if false %}{{ 1|nope }}{% endif %}ok",
    "{% if false %}{% for a in l %}{{ 1|nope }}{% endfor %}{% endif %}ok",
    "{{ (1|nope) if false else 2 }}",
    "{% if false %}{{ 1 is nope }}{% endif %}ok",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 2) }}",
    "{% macro m(a, b=1, c=2) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1, c=5) }}{{ m(b=3, a=4) }}",
    "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(none) }}{{ m(missing) }}",
    "{% macro m(a=1) %}{{ a }}{% endmacro %}{{ m(missing) }}|{{ m() }}",
    "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, b=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}x{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
    "{% macro m(caller=none) %}{{ caller }}{% endmacro %}{{ m() }}",
    "{% macro m(caller) %}{{ caller() }}{% endmacro %}",
    "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=9) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}{% set z = 1 %}{% call m() %}{{ z }}{% endcall %}",
    "{% call n() %}{% endcall %}",
    "{% call n %}{% endcall %}",
    "{% macro m(a) %}{% if a %}{{ a[0] }}{{ m(a[1:]) }}{% endif %}{% endmacro %}{{ m('abc') }}",
    "{% macro m() %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}{% endmacro %}{{ m() }}",
    "{% macro m(a, b=1) %}{{ kwargs }}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m }}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro m(a, a) %}{% endmacro %}",
    "{% macro m(*a) %}{% endmacro %}",
    "{% macro a() %}{% macro b() %}{{ n }}{{ q }}{% endmacro %}{% set q = 5 %}{{ b() }}{% endmacro %}{{ a() }}",
    "{% macro a(x) %}{% for i in [1] %}{{ x }}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}{% endmacro %}{{ a(1) }}",
    "{% set ns = namespace(f=none) %}{% macro a(x) %}<{{ x }}>{% endmacro %}{% set ns.f = a %}{{ ns.f(3) }}",
    "{% set fs = {'m': n} %}{% macro m(x) %}[{{ x }}]{% endmacro %}{% set fs = {'m': m} %}{{ fs.m(1) }}{{ fs['m'](2) }}",
    "{% macro m() %}{% set messages = [] %}{{ messages }}{% endmacro %}{{ m() }}{{ messages|length }}",
    "{% macro m() -%}\n  x\n{%- endmacro %}{{ m() }}|{{ m()|length }}",
    "{{ m is defined }}{% macro m() %}{% endmacro %}{{ m is defined }}{{ m is callable }}",
    "{% if n > 5 %}{% macro m() %}yes{% endmacro %}{% endif %}{{ m() }}",
    "{% if n > 5 %}{% set a = 1 %}{% else %}{% set b = 2 %}{% endif %}{{ a }}{{ b is defined }}",
    "{% if false %}{% set messages = 1 %}{% endif %}{{ messages|length }}",
    "{% for i in l %}{% if i == 1 %}{% set n = 'in' %}{% endif %}{{ n }}{% endfor %}{{ n }}",
    "{% for i in l %}{% if loop.first %}{% set acc = 'a' %}{% else %}{% set acc = acc ~ 'b' %}{% endif %}{{ acc }},{% endfor %}",
    "{% for i in l %}{{ q is defined }}{% set q = i %}{{ q }}{% endfor %}",
    "{{ q }}{% set q = 1 %}{% for i in l %}{{ q }}{% set q = i %}{% endfor %}{{ q }}",
    "{% block a %}{{ n }}{% set n = 1 %}{{ n }}{% endblock %}{{ n }}",
    "{% set v = 3 %}{% block a %}{{ v }}{% endblock %}",
    "{% block a %}{% endblock %}{% block a %}{% endblock %}",
    "{% block a %}x{% endblock a %}",
    "{% for i in l %}{% block a scoped %}{{ i }}{{ loop.index }}{% set i = 5 %}{{ i }}{% endblock %}{{ i }}{% endfor %}",
    "{% macro m(a) %}{% block q scoped %}{{ a }}{% endblock %}{% endmacro %}{{ m(4) }}",
    "{% set x = 3 %}{% for i in l %}{% set x = i %}{% block a scoped %}{{ x }}{% endblock %}{% endfor %}",
    "{% for i in l %}{% block a scoped %}{% break %}{% endblock %}{% endfor %}",
    "{% set self = n %}{{ self }}",
    "{% print n %}{% print n, s|trim %}",
    "{% include 'x' ignore missing %}",
    "{% from 'x' import y %}",
    "{% from 'x' import _y %}",
    "{% if true %}{% extends 'x' %}{% endif %}",
    "{% debug %}",
    "{% trans %}x{% endtrans %}",
    "{% do n %}",
    "{% set c = cycler('a', 'b', 'c') %}{% for i in range(5) %}{{ c.next() }}{% endfor %}{{ c.current }}{{ c.reset() }}{{ c.current }}",
    "{% set j = joiner(', ') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}",
    "{{ d.items()|list }}{% for k, v in d.items() %}{{ loop.index }}{{ k }}{% endfor %}",
    "{% for k, v in d|items %}{{ k }}{% endfor %}",
    "{% for k in d.keys()|sort %}{{ k }}{% endfor %}",
    "{% for g in objs|groupby('k') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}",
    "{% for k, group in objs|groupby('k') %}{{ k }}{{ group }}{% endfor %}",
    "{{ range(3)|map('string')|join(*[',']) }}{{ dict(**{'a': 1}) }}",
    "{% macro m(a, b, c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1, 2], **{'c': 3}) }}{{ m(1, *[2, 3]) }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(a=1, **{'a': 2}) }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(a=1, a=2) }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(a=1, 2) }}",
    "{{ n }}{#- x -#}   {{ n }}{# y #}\n{{ n }}",
    "{# unclosed",
    "{% raw %}unclosed",
    "{% raw -%}  {{ x }}  {%- endraw %}|",
    "  {% raw %}\n{{ x }}\n  {% endraw %}\nz",
    "{%- raw -%} a {%- endraw -%} b",
    "a\n  {%+ raw %} x {% endraw +%}\nb",
    "{%raw%}{%endraw%}",
    "{{ '}}' }}{{ \"%}\" }}",
    "{% if '%}' == '%}' %}x{% endif %}",
    "{{ {'a': {'b': 1}} }}",
    "{{ {'a': {'b': 1}}}}",
    "{{{'a': 1}}}",
    "{{ {} }}{{ [] }}{{ () }}",
    "{{n}}{{-n-}}{{ n -}} x {{- n }}",
    "x {{- ' y ' -}} z",
    "\n{{ n }}\n",
    "\t{% if true %}\tx\t{% endif %}\t\n",
    "a {% if true %}\n b\n {% endif %} c\n",
    "   {# c #}   \n   x",
    "   {#- c +#}\n   x",
    "   {% set a = 1 %}   \n   {% set b = 2 -%}   \n   x",
    "{% if true %}\n\n\nx{% endif %}",
    "{% if true +%}\n x{% endif %}",
    "a\u00a0{%- if true %}x{% endif -%}\u2003b",
    "a\x1c{%- if true %}x{% endif %}",
    "{% if true: %}x{% endif %}",
    "{% for i in l: %}{{ i }}{% endfor %}",
    "{% else %}",
    "{% endfor %}",
    "{% for i in l %}{% endif %}",
    "{% if true %}{% endfor %}",
    "{% for i l %}{% endfor %}",
    "{% for i in %}{% endfor %}",
    "{% for in l %}{% endfor %}",
    "{% set %}",
    "{% set x = %}",
    "{% set x y = 1 %}",
    "{% macro %}",
    "{% 5 %}",
    "{% %}",
    "{%%}",
    "{{}}",
    "{{ n }",
    "{{ n",
    "{% if n",
    "{ % if %}",
    "}} %} #}",
    "{% generation %}{% for a in l %}{{ a }}{% endfor %}{% endgeneration %}",
    "{% for m in messages %}{% generation %}{{ m.role }}{% set q = 1 %}{% endgeneration %}{{ q }}{% endfor %}",
    "{% macro m() %}{% generation %}g{% endgeneration %}{% endmacro %}a{{ m() }}b{{ 'x' ~ m() }}",
    "{% generation %}a{% generation %}b{% endgeneration %}c{% endgeneration %}",
    "{% set x %}{% generation %}g{% endgeneration %}{% endset %}a{{ x }}",
    "{% for a in l %}{% generation %}{% continue %}{% endgeneration %}{% endfor %}",
]
