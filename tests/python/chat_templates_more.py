"""More chat templates, see chat_templates.py: the rarer families and the rarer constructs."""

from chat_templates import TEMPLATES

TEMPLATES["deepseek"] = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<|User|>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is none %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls']%}{%- if not ns.is_first %}{{'<|Assistant|><|calls|>' + tool['type'] + '<|sep|>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments'] + '\\n' + '```'}}{%- set ns.is_first = true -%}{%- endif %}{%- endfor %}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{%- if ns.is_tool %}{{'<|outputs_end|>' + message['content'] + '<|end|>'}}{%- set ns.is_tool = false -%}{%- else %}{% set content = message['content'] %}{% if content and '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<|Assistant|>' + content + '<|end|>'}}{%- endif %}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{%- if ns.is_output_first %}{{'<|outputs|><|output|>' + message['content'] + '<|output_end|>'}}{%- set ns.is_output_first = false %}{%- else %}{{'\\n<|output|>' + message['content'] + '<|output_end|>'}}{%- endif %}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{'<|outputs_end|>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<|Assistant|>'}}{% endif %}"""

TEMPLATES["command_r"] = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% elif false == true %}{% set loop_messages = messages %}{% set system_message = 'You are large.' %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% if system_message != false %}{{ '<|START|><|SYSTEM|>' + system_message + '<|END|>' }}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% set content = message['content'] %}{% if message['role'] == 'user' %}{{ '<|START|><|USER|>' + content.strip() + '<|END|>' }}{% elif message['role'] == 'assistant' %}{{ '<|START|><|BOT|>' + content.strip() + '<|END|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|START|><|BOT|>' }}{% endif %}"""

TEMPLATES["command_r_tools"] = """
{%- macro json_to_python_type(json_spec) %}
{%- set basic_type_map = {
    "string": "str",
    "number": "float",
    "integer": "int",
    "boolean": "bool"
} %}
{%- if basic_type_map[json_spec.type] is defined %}
    {{- basic_type_map[json_spec.type] }}
{%- elif json_spec.type == "array" %}
    {{- "List[" +  json_to_python_type(json_spec['items']) + "]"}}
{%- elif json_spec.type == "object" %}
    {%- if json_spec.additionalProperties is defined %}
        {{- "Dict[str, " + json_to_python_type(json_spec.additionalProperties) + ']'}}
    {%- else %}
        {{- "Dict" }}
    {%- endif %}
{%- elif json_spec.type is iterable %}
    {{- "Union[" }}
    {%- for t in json_spec.type %}
      {{- json_to_python_type({"type": t}) }}
      {%- if not loop.last %}{{- "," }}{%- endif %}
    {%- endfor %}
    {{- "]" }}
{%- else %}
    {{- "Any" }}
{%- endif %}
{%- endmacro %}
{%- macro tool_parser(tools) %}
{%- for tool in tools %}
  {%- if tool.type is not defined or tool.type == 'function' %}
    {%- if tool.function is defined %}{%- set tool = tool.function %}{%- endif %}
    {{- "def " + tool.name + '(' }}
    {%- for param_name, param_fields in tool.parameters.properties.items() %}
        {{- param_name + ": " }}
        {%- if not param_name in tool.parameters.required %}{{- "Optional[" + json_to_python_type(param_fields) + "] = None" }}{%- else %}{{- json_to_python_type(param_fields) }}{%- endif %}
        {%- if not loop.last %}{{- ", " }}{%- endif %}
    {%- endfor %}
    {{- ") -> " }}
    {%- if tool.return is defined %}{{- json_to_python_type(tool.return) }}{%- else %}{{- "None" }}{%- endif %}
    {{- ':\\n    \"\"\"' + tool.description + '\\n' }}
    {%- for name, spec in tool.parameters.properties|dictsort %}
    {{- '\\n        ' + name + ' (' + json_to_python_type(spec) + '): ' + spec.description|default('-') }}
    {%- endfor %}
    {{- '\\n    \"\"\"\\n' }}
  {%- endif %}
{%- endfor %}
{%- endmacro %}
{{- bos_token -}}{%- if tools %}{{ tool_parser(tools) }}{% endif %}
{%- for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}
{%- if documents %}{% for doc in documents %}
Document: {{ loop.index0 }}
{% for key, value in doc|items %}{{ key|title }}: {{ value }}
{% endfor %}{% endfor %}{% endif %}
"""

TEMPLATES["hermes_tools"] = """{%- macro describe(tool) -%}
{{- "{" -}}"name": "{{ tool.name }}", "doc": "{{ tool.description | replace('"', '\\\\"') }}"
{%- for name, spec in tool.parameters.properties.items() -%}
, "{{ name }}": {{ spec.type if spec.type is string else spec.type|join('|') }}{{ ' = ' ~ spec.enum|join(', ') if spec.enum is defined }}
{%- endfor -%}
{{- "}" -}}
{%- endmacro -%}
{{ bos_token }}<|im_start|>system
{% if tools -%}
<tools> {% for tool in tools %}{{ describe(tool.function if tool.function is defined else tool) }}{{ "\\n" if not loop.last }}{% endfor %} </tools>
{%- endif %}<|im_end|>
{% for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.tool_calls -%}
{% for call in message.tool_calls %}<tool_call>{{ {"arguments": call.function.arguments, "name": call.function.name}|tojson }}</tool_call>
{% endfor -%}
{% else -%}
{{ message.content }}
{%- endif %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

TEMPLATES["vicuna"] = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'].strip() + '\\n\\n' %}{% else %}{% set loop_messages = messages %}{% set system_message = '' %}{% endif %}{{ bos_token + system_message }}{% for message in loop_messages %}{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'].strip() + '\\n' }}{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT: ' + message['content'].strip() + eos_token + '\\n' }}{% endif %}{% if loop.last and message['role'] == 'user' and add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}{% endfor %}"""

TEMPLATES["alpaca"] = """{% for message in messages %}{% if loop.first and message.role == 'system' %}{{ message.content ~ '\\n\\n' }}{% elif message.role == 'user' %}### Instruction:
{{ message.content|trim }}

{% elif message.role == 'assistant' %}### Response:
{{ message.content|trim }}{{ eos_token }}

{% endif %}{% endfor %}{% if add_generation_prompt %}### Response:
{% endif %}"""

TEMPLATES["openchat"] = """{{ bos_token }}{% for message in messages %}{{ 'GPT4 Correct ' + message['role'].title() + ': ' + message['content'] + '<|end_of_turn|>'}}{% endfor %}{% if add_generation_prompt %}{{ 'GPT4 Correct Assistant:' }}{% endif %}"""

TEMPLATES["falcon"] = """{% for message in messages %}{% if not loop.first %}{{ '\\n' }}{% endif %}{% if message['role'] == 'system' %}{{ 'System: ' }}{% elif message['role'] == 'user' %}{{ 'User: ' }}{% elif message['role'] == 'assistant' %}{{ 'Falcon: ' }}{% endif %}{{ message['content']|replace('\\r\\n', '\\n')|replace('\\n\\n', '\\n') }}{% endfor %}{% if add_generation_prompt %}{{ '\\n' + 'Falcon:' }}{% endif %}"""

TEMPLATES["granite"] = """{%- if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content'] %}{% set loop_messages = messages[1:] %}{% else %}{% set system_message = "Knowledge Cutoff Date: April 2024.\\nToday's Date: " + strftime_now('%B %d, %Y') + ".\\nYou are terse." %}{% if tools and documents %}{% set system_message = system_message + " Both." %}{% elif tools %}{% set system_message = system_message + " Tools." %}{% endif %}{% set loop_messages = messages %}{% endif %}{{ '<|start_of_role|>system<|end_of_role|>' + system_message + '<|end_of_text|>\\n' }}{% if tools %}{{ '<|start_of_role|>tools<|end_of_role|>' }}{{ tools | tojson(indent=4) }}{{ '<|end_of_text|>\\n' }}{% endif %}{% for message in loop_messages %}{{ '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] + '<|end_of_text|>\\n' }}{% if loop.last and add_generation_prompt %}{{ '<|start_of_role|>assistant' }}{% if controls %}{{ ' ' + controls | tojson() }}{% endif %}{{ '<|end_of_role|>' }}{% endif %}{% endfor %}"""

TEMPLATES["smollm3"] = """{%- set defaults = "You are SmolLM." -%}
{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}
{%- if enable_thinking -%}{%- set reasoning_mode = "/think" -%}{%- else -%}{%- set reasoning_mode = "/no_think" -%}{%- endif -%}
{{- "<|im_start|>system\\n" -}}
{%- if messages[0].role == "system" -%}
  {%- set system_message = messages[0].content -%}
  {%- if "/no_think" in system_message -%}{%- set reasoning_mode = "/no_think" -%}
  {%- elif "/think" in system_message -%}{%- set reasoning_mode = "/think" -%}{%- endif -%}
  {%- set custom_instructions = system_message.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{{- "## Metadata\\n\\nToday: " ~ strftime_now("%d %B %Y") ~ "\\nMode: " ~ reasoning_mode ~ "\\n\\n" -}}
{{- custom_instructions if custom_instructions else defaults -}}{{- "<|im_end|>\\n" -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{ "<|im_start|>" + message.role + "\\n"  + content + "<|im_end|>\\n" }}
    {%- elif message.role == "assistant" -%}
        {% generation %}
        {%- if reasoning_mode == "/think" -%}
            {{ "<|im_start|>assistant\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- else -%}
            {{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- endif -%}
        {% endgeneration %}
    {%- elif message.role == "tool" -%}
    {{ "<|im_start|>" + "user\\n"  + content + "<|im_end|>\\n" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {%- if reasoning_mode == "/think" -%}{{ "<|im_start|>assistant\\n" }}{%- else -%}{{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n" }}{%- endif -%}
{%- endif -%}
"""

TEMPLATES["gpt_oss"] = """{%- macro render_typescript_type(param_spec, required_params, is_nullable=false) -%}
    {%- if param_spec.type == "array" -%}
        {%- if param_spec['items'] -%}{{- render_typescript_type(param_spec['items'], required_params) + "[]" -}}{%- else -%}{{- "any[]" -}}{%- endif -%}
        {%- if param_spec.nullable -%}{{- " | null" -}}{%- endif -%}
    {%- elif param_spec.type is defined and param_spec.type is iterable and param_spec.type is not string and param_spec.type is not mapping and param_spec.type[0] is defined -%}
        {%- if param_spec.type | length > 1 -%}{{- param_spec.type | join(" | ") }}{%- else -%}{{- param_spec.type[0] }}{%- endif -%}
    {%- elif param_spec.oneOf -%}
        {%- for variant in param_spec.oneOf -%}{{- render_typescript_type(variant, required_params) -}}{%- if not loop.last %}{{- " | " }}{% endif -%}{%- endfor -%}
    {%- elif param_spec.type == "string" -%}
        {%- if param_spec.enum -%}{{- '"' + param_spec.enum|join('" | "') + '"' -}}{%- else -%}{{- "string" }}{%- endif -%}
    {%- elif param_spec.type in ("number", "integer") -%}{{- "number" -}}
    {%- elif param_spec.type == "boolean" -%}{{- "boolean" -}}
    {%- elif param_spec.type == "object" -%}
        {%- if param_spec.properties -%}
            {{- "{\\n" }}
            {%- for prop_name, prop_spec in param_spec.properties.items() -%}
                {{- prop_name -}}{%- if prop_name not in (param_spec.required or []) -%}{{- "?" }}{%- endif -%}{{- ": " }}{{ render_typescript_type(prop_spec, param_spec.required or []) }}{%- if not loop.last -%}{{-", " }}{%- endif -%}
            {%- endfor -%}
            {{- "}" }}
        {%- else -%}{{- "object" }}{%- endif -%}
    {%- else -%}{{- "any" }}{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
    {%- if message.role == "assistant" and message.thinking is defined -%}<|channel|>analysis<|message|>{{ message.thinking }}<|end|>{%- endif -%}
    <|start|>{{ message.role }}<|message|>{{ message.content }}<|end|>
{%- endfor -%}
{%- if tools %}{{- "\\nnamespace functions {\\n\\n" }}{%- for tool in tools -%}{%- set tool = tool.function -%}
{{- "// " + tool.description + "\\ntype " + tool.name + " = (_: {\\n" -}}
{%- for name, spec in tool.parameters.properties.items() -%}
{{- "  " ~ name ~ ("" if name in tool.parameters.required else "?") ~ ": " ~ render_typescript_type(spec, tool.parameters.required) -}}
{%- if spec.default is defined -%}{%- if spec.enum -%}{{- ", // default: " + spec.default -}}{%- else -%}{{- ", // default: " + spec.default|tojson -}}{%- endif -%}{%- endif -%}
{{- "\\n" -}}
{%- endfor -%}{{- "}) => any;\\n\\n" -}}{%- endfor -%}{{- "}" -}}{%- endif -%}
{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}
"""

TEMPLATES["yi"] = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content'] %}{% endif %}{% if system_message is defined %}{{ system_message }}{% endif %}{% for message in messages %}{% set content = message['content'] %}{% if message['role'] == 'user' %}{{ '<|im_start|>user\\n' + content + '<|im_end|>\\n<|im_start|>assistant\\n' }}{% elif message['role'] == 'assistant' %}{{ content + '<|im_end|>' + '\\n' }}{% endif %}{% endfor %}"""

TEMPLATES["solar"] = """{% for message in messages %}{% if message['role'] == 'system' %}{% if message['content']%}{{'### System:\\n' + message['content']+'\\n\\n'}}{% endif %}{% elif message['role'] == 'user' %}{{'### User:\\n' + message['content']+'\\n\\n'}}{% elif message['role'] == 'assistant' %}{{'### Assistant:\\n'  + message['content']}}{% endif %}{% if loop.last and add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}{% endfor %}"""

TEMPLATES["internlm"] = """{{ bos_token }}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

TEMPLATES["olmo"] = """{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'user' %}{{ '<|user|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'assistant' %}{% if not loop.last %}{{ '<|assistant|>\\n'  + message['content'] + eos_token + '\\n' }}{% else %}{{ '<|assistant|>\\n'  + message['content'] + eos_token }}{% endif %}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}{% endfor %}"""

TEMPLATES["tulu_generation"] = """{% for message in messages %}{% if message.role == 'assistant' %}{{ '<|assistant|>\\n' }}{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}{{ '\\n' }}{% else %}{{ '<|' ~ message.role ~ '|>\\n' ~ message.content ~ '\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"""

TEMPLATES["nemotron"] = """{{- bos_token -}}{% set n_turns = messages|selectattr('role', 'in', ['user', 'assistant'])|list|length %}<extra_id_0>System
{% for message in messages %}{% if message.role == 'system' %}{{ ' ' + message.content }}{% endif %}{% endfor %}
{%- if tools %}{% for tool in tools %}
<tool> {{ tool|tojson }} </tool>{% endfor %}{% endif %}

{% for message in messages %}{% if message.role == 'user' %}<extra_id_1>User
{{ message.content.strip() }}
{% elif message.role == 'tool' %}<extra_id_1>Tool
{{ message.content.strip() }}
{% elif message.role != 'system' %}<extra_id_1>Assistant
{{ message.content.strip() }}
{% endif %}{% endfor %}{{ n_turns }}{% if add_generation_prompt %}<extra_id_1>Assistant
{% endif %}"""

TEMPLATES["llava_blocks"] = """{% for message in messages %}{{ message.role.upper() }}: {% if message.content is string %}{{ message.content }}{% else %}{% for block in message.content | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}{% for block in message.content | selectattr('type', 'equalto', 'text') %}{{ '\\n' ~ block.text }}{% endfor %}{% endif %}{{ ' ' }}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"""

TEMPLATES["jamba"] = """{# Variables #}{% set ns = namespace(message_count=0, is_last_checked=false, seen=[]) %}{{- bos_token -}}
{%- macro header(role) -%}<|{{ role }}|>{%- endmacro -%}
{%- for message in messages recursive -%}{%- set ns.message_count = ns.message_count + 1 -%}{%- set ns.seen = ns.seen + [message.role] -%}{{ header(message.role) }} {{ message.content|string|trim }}
{% endfor %}{{ ns.message_count }} {{ ns.seen }} {{ ns.seen|unique|list }}"""

TEMPLATES["loop_controls"] = """{% for message in messages %}{% if message.role == 'system' %}{% continue %}{% endif %}{% if loop.index > 4 %}{% break %}{% endif %}{{ loop.index }}/{{ loop.length }}:{{ message.content }}
{% else %}nobody{% endfor %}"""

TEMPLATES["filters"] = """{% filter trim %}  {{ messages|map(attribute='role')|join(', ') }}  {% endfilter %}|{{ messages|map(attribute='content')|map('string')|map('length')|list }}|{{ messages|map(attribute='content')|select('string')|map('upper')|first|default('?')|truncate(9, true, '..') }}|{{ messages|groupby('role')|map('first')|join('/') }}|{{ (messages|last).content|string|indent(2) }}|{{ messages|batch(2)|map('length')|list }}"""

TEMPLATES["with_and_call"] = """{% macro turn(role) %}<{{ role }}>{{ caller() }}</{{ role }}>{% endmacro %}{% for message in messages %}{% with text = message.content %}{% call turn(message.role) %}{{ text|string|replace('<', '&lt;') }}{% endcall %}{% endwith %}{% endfor %}"""

TEMPLATES["python_methods"] = """{% for message in messages %}{% if message.content is string %}{{ message.get('name', message['role']).capitalize() }}: {{ message.content.strip().replace('\\n', ' / ').split(' ')[:6]|join('_') }} ({{ message.content.split('\\n')|length }} {{ message.content.find('a') }} {{ message.content.count('e') }}) {% if message.content.lower().startswith(('hi', 'hello')) %}greets{% endif %}{% endif %}{{ message.keys()|list }}{{ message.items()|list|length }}
{% endfor %}"""

TEMPLATES["printing"] = """{{ messages }}{{ messages[0] }}{{ [1, 2.0, none, true, 'it\\'s'] }}{{ (1, 'b') }}{{ {'k': [none]} }}{{ 1/3 }} {{ 10//3 }} {{ 2**10 }} {{ 1e20 }} {{ messages|length / 2 }}"""

TEMPLATES["strict_errors"] = """{% if messages|length > 5 %}{{ raise_exception('Too long: ' ~ messages|length) }}{% endif %}{% if messages[0].role == 'tool' %}{{ messages[0].nothing.here }}{% endif %}{{ messages[0].content + '!' }}"""

TEMPLATES["whitespace"] = """
  {% for message in messages %}
    {%- if message.role == 'user' %}
      U: {{ message.content }}
    {% elif message.role == 'assistant' -%}
      A: {{- message.content -}}
    {%+ else +%}
      S: {{ message.content }}
    {% endif %}
  {#- comment -#}
  {% endfor %}

{%- if add_generation_prompt %}

A:
{%- endif %}

"""

TEMPLATES["tool_calls_nested"] = """{% for message in messages %}[{{ message.role }}]{% if message.tool_calls is defined %}{% for call in message.tool_calls %}{{ call.id|default('no-id') }}:{{ call.function.name }}({% for key, value in call.function.arguments.items() %}{{ key }}={{ value|tojson }}{% if not loop.last %}, {% endif %}{% endfor %}){% endfor %}{% elif message.content is mapping %}{{ message.content|tojson(sort_keys=true, separators=(',', ':')) }}{% else %}{{ message.content }}{% endif %}
{% endfor %}{% if tools %}{% for tool in tools %}{{ tool.function.parameters.properties|tojson(indent=2) }}{{ tool.function.parameters.required|default([])|join(',') }}
{% endfor %}{% endif %}"""
