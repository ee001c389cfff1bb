#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes of openapi.yaml what the program is built with.

    openapi.py YAML FOLDER        FOLDER/openapi_limits.h, FOLDER/openapi_data.c
    openapi.py YAML --json NAME   the part of one service (gateway, query), on standard output
"""
import copy
import json
import pathlib
import re
import sys

import yaml

import openapi_page

SERVICES = ("gateway", "query")
METHODS = ("get", "put", "post", "delete", "patch")
PROBLEM = "urn:orderlog:problem:"
HEAD = "// SPDX-License-Identifier: Apache-2.0\n// Made of src/http/openapi.yaml by src/http/openapi.py.\n"


def fail(why):
    sys.exit(f"openapi.yaml: {why}")


def load(path):
    """YAML takes the same key twice without a word: here it is an error."""
    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            seen = set()
            for key, _ in node.value:
                if key.value in seen:
                    fail(f"line {key.start_mark.line + 1}: '{key.value}' comes twice")
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    return yaml.load(pathlib.Path(path).read_text(), Loader)


def resolve(document, node):
    while isinstance(node, dict) and "$ref" in node:
        target = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            if step not in target:
                fail(f"{node['$ref']} names nothing")
            target = target[step]
        node = target
    return node


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


# --- one service's part --------------------------------------------------------------------------


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def reached(document, node):
    """The components that a node refers to, and those that they refer to, as (kind, name)."""
    used = set()
    waiting = list(references(node))
    while waiting:
        reference = waiting.pop()
        kind, name = reference.removeprefix("#/components/").split("/")
        if (kind, name) not in used:
            used.add((kind, name))
            waiting.extend(references(resolve(document, {"$ref": reference})))
    return used


def part_of(document, service):
    part = copy.deepcopy(document)
    paths = {}
    for path, method, operation in operations(part):
        if service in operation.pop("x-services"):
            scopes = " or ".join(f"`{scope}`" for scope in operation.get("x-scopes", []))
            if scopes:
                operation["description"] += f"\n\nNeeds the scope {scopes}."
            if operation.get("x-customers"):
                operation["description"] += " Customers' tokens are taken, for what is theirs."
            paths.setdefault(path, {})[method] = operation
    part["paths"] = paths
    part["info"]["title"] += f" {service}"
    known = {operation["operationId"] for _, _, operation in operations(part)}
    for _, _, operation in operations(part):
        for response in operation["responses"].values():
            links = response.get("links", {})
            for name in [n for n, link in links.items() if link["operationId"] not in known]:
                del links[name]
    used = reached(part, part["paths"])
    used |= {("securitySchemes", name) for name in part["components"]["securitySchemes"]}
    tags = {tag for _, _, operation in operations(part) for tag in operation["tags"]}
    part["tags"] = [tag for tag in part["tags"] if tag["name"] in tags]
    for kind, rows in part["components"].items():
        part["components"][kind] = {n: row for n, row in rows.items() if (kind, n) in used}
    return part


# --- limits --------------------------------------------------------------------------------------

LIMITS = {"minLength": "LENGTH_MIN", "maxLength": "LENGTH_MAX", "minItems": "ITEMS_MIN",
          "maxItems": "ITEMS_MAX", "minimum": "MIN", "maximum": "MAX", "default": "DEFAULT"}


def upper(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def limits(document):
    """Of what callers send."""
    lines = []
    sent = {name for kind, name in reached(document, [
        [operation.get("parameters"), operation.get("requestBody")]
        for _, _, operation in operations(document)]) if kind == "schemas"}

    def add(name, schema):
        for keyword, suffix in LIMITS.items():
            value = schema.get(keyword)
            if isinstance(value, int):
                text = f"INT64_C({value})" if abs(value) > 2**31 - 1 else str(value)
                lines.append(f"#define OPENAPI_{name}_{suffix} {text}\n")

    for name, schema in document["components"]["schemas"].items():
        if name not in sent:
            continue
        add(upper(name), schema)
        for field, inner in schema.get("properties", {}).items():
            add(f"{upper(name)}_{upper(field)}", inner)
    return (HEAD + "#ifndef ORDERLOG_HTTP_OPENAPI_LIMITS_H\n#define ORDERLOG_HTTP_OPENAPI_LIMITS_H\n\n"
            "#include <stdint.h>\n\n" + "".join(lines) + "\n#endif\n")


# --- the table of operations ---------------------------------------------------------------------


def problem_types(document, node):
    """The types that a schema names."""
    node = resolve(document, node)
    found = []
    for part in node.get("allOf", []):
        found += problem_types(document, part)
    kind = resolve(document, node.get("properties", {}).get("type", {}))
    names = kind.get("enum", []) + ([kind["const"]] if "const" in kind else [])
    return found + [name.removeprefix(PROBLEM) for name in names]


def c_text(text):
    return json.dumps(text)


def c_list(name, texts):
    return f"static const char *const {name}[] = {{{', '.join([c_text(t) for t in texts] + ['NULL'])}}};\n"


def answers_of(document, operation, name):
    """The lists of problem types, and the rows of answers."""
    lists, rows = "", []
    for status, response in operation["responses"].items():
        content = resolve(document, response).get("content", {})
        problem = content.get("application/problem+json")
        if problem is None:
            rows.append(f"    {{{status}, NULL}},\n")
            continue
        types = problem_types(document, problem["schema"])
        if not types:
            fail(f"{operation['operationId']}: {status} names no problem types")
        lists += c_list(f"{name}_{status}", types)
        rows.append(f"    {{{status}, {name}_{status}}},\n")
    return lists, f"static const struct openapi_answer {name}_answers[] = {{\n{''.join(rows)}}};\n"


def body_of(document, operation):
    types = resolve(document, operation.get("requestBody", {})).get("content", {})
    if not types:
        return "OPENAPI_NO_BODY"
    return "OPENAPI_STREAM" if "application/x-ndjson" in types else "OPENAPI_JSON"


def table(document):
    text, rows = "", []
    for path, method, operation in operations(document):
        name = upper(operation["operationId"]).lower()
        parameters = [resolve(document, p) for p in operation.get("parameters", [])]
        named = [p["name"] for p in parameters if p["in"] == "path"]
        if named != re.findall(r"\{(\w+)\}", path):
            fail(f"{operation['operationId']}: its path parameters are not those of {path}")
        scopes = operation.get("x-scopes", [])
        if ("security" in operation) == bool(scopes):
            fail(f"{operation['operationId']}: has either x-scopes, or 'security: []' when open to all")
        lists, answers = answers_of(document, operation, name)
        text += c_list(f"{name}_scopes", scopes)
        text += c_list(f"{name}_query", [p["name"] for p in parameters if p["in"] == "query"])
        text += lists + answers + "\n"
        services = " | ".join(f"OPENAPI_{s.upper()}" for s in operation["x-services"])
        rows.append(f"""    {{.method = "{method.upper()}",
     .path = "{path}",
     .summary = {c_text(operation["summary"])},
     .services = {services},
     .scopes = {name}_scopes,
     .customers = {str(operation.get("x-customers", False)).lower()},
     .query = {name}_query,
     .body = {body_of(document, operation)},
     .answers = {name}_answers,
     .answers_count = sizeof({name}_answers) / sizeof({name}_answers[0])}},
""")
    return (text + f"const struct openapi_operation openapi_operations[] = {{\n{''.join(rows)}}};\n"
            "const size_t openapi_operations_count =\n"
            "    sizeof(openapi_operations) / sizeof(openapi_operations[0]);\n\n")


# --- what is served ------------------------------------------------------------------------------


def embed(name, text):
    """Bytes as a string: escapes in octal, so that no digit that follows belongs to them."""
    data = text.encode()
    lines = []
    for start in range(0, len(data), 80):
        escaped = "".join(chr(b) if 0x20 <= b < 0x7F and b not in b'"\\?' else f"\\{b:03o}"
                          for b in data[start:start + 80])
        lines.append(f'    "{escaped}"\n')
    return (f"static const char {name}[] =\n{''.join(lines).rstrip()};\n")


def served(document):
    text, rows = "", []
    for service in SERVICES:
        part = part_of(document, service)
        text += embed(f"{service}_json", json.dumps(part, ensure_ascii=False, separators=(",", ":")) + "\n")
        text += embed(f"{service}_page", openapi_page.render(part))
        rows.append(f"    [OPENAPI_{service.upper()}] = {{{service}_json, sizeof({service}_json) - 1, "
                    f"{service}_page, sizeof({service}_page) - 1}},\n")
    return text + f"\nconst struct openapi_texts openapi_texts[] = {{\n{''.join(rows)}}};\n"


def main():
    if len(sys.argv) == 4 and sys.argv[2] == "--json":
        json.dump(part_of(load(sys.argv[1]), sys.argv[3]), sys.stdout, indent=2, ensure_ascii=False)
        return
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    document = load(sys.argv[1])
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openapi_limits.h").write_text(limits(document))
    (folder / "openapi_data.c").write_text(HEAD + '#include "http/openapi.h"\n\n' + table(document)
                                           + served(document))


main()
