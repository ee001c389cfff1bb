# SPDX-License-Identifier: Apache-2.0
"""An OpenAPI document as one page of HTML: no scripts, nothing from elsewhere."""
import html
import json
import re

METHODS = ("get", "put", "post", "delete", "patch")

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--link:#2a6fdb}
body{font:16px/1.5 system-ui,sans-serif;margin:0;display:flex;overflow-wrap:anywhere}
nav{flex:0 0 17rem;height:100vh;overflow:auto;position:sticky;top:0;padding:1rem;box-sizing:border-box;
border-right:1px solid var(--line);font-size:.9rem}
main{max-width:60rem;padding:1rem 2rem 6rem;min-width:0}
nav ul{list-style:none;padding:0;margin:.3rem 0 1rem}a{color:var(--link);text-decoration:none}
a:hover{text-decoration:underline}code,pre{font:.9em ui-monospace,monospace}
code{background:var(--soft);padding:.1em .3em;border-radius:.3em}
pre{background:var(--soft);padding:.8rem;border-radius:.4rem;overflow:auto}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem;font-size:.93rem}
td,th{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line)}
h2{margin-top:3rem}h3{margin-top:2.5rem;padding-top:1rem;border-top:1px solid var(--line)}
h4{margin:1.2rem 0 .2rem}.m{display:inline-block;min-width:3.2em;font:600 .8em ui-monospace,monospace}
.get{color:#1a7f4b}.post{color:#2a6fdb}.put{color:#a15c00}.delete{color:#c0322b}.soft{opacity:.7}
@media(max-width:50rem){body{display:block}nav{position:static;height:auto;border:0}main{padding:1rem}}
"""


def words(text):
    """The little of Markdown that the document uses, within a paragraph."""
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)


def prose(text):
    return "".join(f"<p>{words(part.strip())}</p>" for part in (text or "").split("\n\n") if part.strip())


class Page:
    def __init__(self, document):
        self.document = document
        self.out = []

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            node = target
        return node

    def add(self, *parts):
        self.out.extend(parts)

    def row(self, *cells):
        self.add("<tr>", *(f"<td>{cell}</td>" for cell in cells), "</tr>")

    # --- schemas -------------------------------------------------------------------------------

    def kind(self, schema):
        """A schema in a few words, named ones as links."""
        if "$ref" in schema and "schemas" in schema["$ref"]:
            name = schema["$ref"].split("/")[-1]
            return f'<a href="#schema-{name}">{name}</a>'
        for either in ("oneOf", "anyOf"):
            if either in schema:
                return " or ".join(self.kind(part) for part in schema[either])
        if schema.get("allOf") and "type" not in schema:
            return " and ".join(self.kind(part) for part in schema["allOf"])
        kind = schema.get("type", "")
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        if kind == "array":
            return f"list of {self.kind(schema['items'])}"
        return html.escape(f"{kind}, {schema['format']}" if "format" in schema else kind)

    def bounds(self, schema):
        found = []
        for low, high, unit in (("minimum", "maximum", ""), ("minLength", "maxLength", " characters"),
                                ("minItems", "maxItems", " items")):
            if low in schema and high in schema:
                found.append(f"{schema[low]} to {schema[high]}{unit}")
            elif low in schema:
                found.append(f"at least {schema[low]}{unit}")
            elif high in schema:
                found.append(f"at most {schema[high]}{unit}")
        if "default" in schema:
            found.append(f"default {schema['default']}")
        if "enum" in schema:
            found.append("one of " + ", ".join(map(str, schema["enum"])))
        if "const" in schema:
            found.append(f"always {schema['const']}")
        if "pattern" in schema:
            found.append(f"<code>{html.escape(schema['pattern'])}</code>")
        return "; ".join(found)

    def about(self, schema):
        own = self.bounds(schema) if "$ref" not in schema else ""
        return words(schema.get("description", "")) + (f' <span class="soft">{own}</span>' if own else "")

    def fields(self, schema):
        schema = self.resolve(schema)
        for part in schema.get("oneOf", []) + schema.get("allOf", []):
            if "$ref" not in part:
                self.add(prose(part.get("description")))
                self.fields(part)
        if not schema.get("properties"):
            return
        required = schema.get("required", [])
        self.add("<table><tr><th>Field</th><th>Type</th><th></th></tr>")
        for name, inner in schema["properties"].items():
            mark = "" if name in required else ' <span class="soft">optional</span>'
            self.row(f"<code>{html.escape(name)}</code>{mark}", self.kind(inner), self.about(inner))
        self.add("</table>")

    # --- operations ----------------------------------------------------------------------------

    def parameters(self, operation):
        parameters = [self.resolve(p) for p in operation.get("parameters", [])]
        if not parameters:
            return
        self.add("<h4>Parameters</h4><table>")
        for parameter in parameters:
            schema = parameter["schema"]
            bounds = self.bounds(self.resolve(schema))
            self.row(f"<code>{html.escape(parameter['name'])}</code>"
                     f' <span class="soft">{parameter["in"]}</span>', self.kind(schema),
                     words(parameter.get("description", "")) + f' <span class="soft">{bounds}</span>')
        self.add("</table>")

    def body(self, operation):
        body = self.resolve(operation.get("requestBody", {}))
        for media, content in body.get("content", {}).items():
            optional = "" if body.get("required") else ", optional"
            self.add(f"<h4>Body <span class=\"soft\">{html.escape(media)}{optional}</span></h4><p>",
                     self.kind(content["schema"]), "</p>")
            if "example" in content:
                self.add("<pre>", html.escape(json.dumps(content["example"], indent=2, ensure_ascii=False)),
                         "</pre>")

    def problem_types(self, node):
        node = self.resolve(node)
        found = [t for part in node.get("allOf", []) for t in self.problem_types(part)]
        kind = node.get("properties", {}).get("type", {})
        return found + kind.get("enum", []) + ([kind["const"]] if "const" in kind else [])

    def responses(self, operation):
        self.add("<h4>Answers</h4><table>")
        for status, response in operation["responses"].items():
            response = self.resolve(response)
            what = [words(response["description"])]
            for media, content in response.get("content", {}).items():
                types = self.problem_types(content["schema"])
                if types:
                    what.append("<br>" + " ".join(f"<code>{t.split(':')[-1]}</code>" for t in types))
                else:
                    what.append(f' <span class="soft">{html.escape(media)}</span> {self.kind(content["schema"])}')
            self.row(f"<code>{status}</code>", "".join(what))
        self.add("</table>")

    def operation(self, path, method, operation):
        self.add(f'<h3 id="{operation["operationId"]}"><span class="m {method}">{method.upper()}</span> ',
                 f"<code>{html.escape(path)}</code></h3><p><strong>{words(operation['summary'])}.</strong>"
                 .replace("?.</strong>", "?</strong>"), "</p>", prose(operation.get("description")))
        if operation.get("security") == []:
            self.add("<p>Open to everybody.</p>")
        self.parameters(operation)
        self.body(operation)
        self.responses(operation)

    def by_tag(self):
        for tag in self.document["tags"]:
            rows = [(path, method, item[method]) for path, item in self.document["paths"].items()
                    for method in METHODS if method in item and tag["name"] in item[method]["tags"]]
            yield tag, rows

    def navigation(self):
        self.add("<nav><strong>", html.escape(self.document["info"]["title"]), "</strong>")
        for tag, rows in self.by_tag():
            self.add(f"<ul><li><strong>{tag['name']}</strong></li>")
            for path, method, operation in rows:
                self.add(f'<li><a href="#{operation["operationId"]}"><span class="m {method}">{method.upper()}'
                         f"</span> {html.escape(path)}</a></li>")
            self.add("</ul>")
        self.add('<ul><li><a href="#schemas">Schemas</a></li><li><a href="/openapi.json">openapi.json</a></li></ul></nav>')

    def render(self):
        info = self.document["info"]
        self.add('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
                 '<meta name="viewport" content="width=device-width,initial-scale=1">'
                 f"<title>{html.escape(info['title'])}</title><style>{STYLE}</style></head><body>")
        self.navigation()
        self.add(f"<main><h1>{html.escape(info['title'])}</h1><p>{words(info['summary'])}</p>",
                 prose(info["description"]), "<h2>Who may ask</h2>")
        for scheme in self.document["components"]["securitySchemes"].values():
            self.add(prose(scheme["description"]))
        for tag, rows in self.by_tag():
            self.add(f"<h2>{tag['name']}</h2>", prose(tag["description"]))
            for row in rows:
                self.operation(*row)
        self.add('<h2 id="schemas">Schemas</h2>')
        for name, schema in self.document["components"]["schemas"].items():
            self.add(f'<h3 id="schema-{name}">{name}</h3><p>', self.kind(schema), " ", self.about(schema), "</p>")
            self.fields(schema)
        self.add("</main></body></html>\n")
        return "".join(self.out)


def render(document):
    return Page(document).render()
