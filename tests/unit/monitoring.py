# SPDX-License-Identifier: Apache-2.0
"""Alert rules and the dashboard: well-formed, fired by what they are made for and by nothing else,
explained, and about metrics that there are."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "compose/alerts.yml"
DASHBOARD = ROOT / "compose/dashboard.json"
SERIES = Path(__file__).with_name("alerts_test.yml")
FOREIGN = {"up"}  # made by Prometheus itself


def expect(what, condition, detail=""):
    if not condition:
        sys.exit(f"FAILED: {what}\n{detail}")
    print(f"holds  {what}")


def run(*command):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def table(program):
    """Names that a query may use: of a histogram its three series."""
    rows = [line.split(maxsplit=3) for line in run(program, "metrics")[1].splitlines()]
    names = set()
    for name, kind, _, _ in rows:
        names |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return rows, names


def names_in(query):
    query = re.sub(r'"[^"]*"', '""', query)
    return set(re.findall(r"\b(?:orderlog|process)_[a-z_]+\b", query)) | \
        {name for name in FOREIGN if re.search(rf"\b{name}\b", query)}


def alerts():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def main():
    program, promtool = sys.argv[1:]
    rows, names = table(program)
    expect(f"the table has {len(rows)} metrics, each explained", all(len(row) == 4 for row in rows), rows)

    status, said = run(promtool, "check", "rules", str(RULES))
    expect("promtool finds nothing wrong with the rules", status == 0, said)
    for alert in alerts():
        unknown = names_in(alert["expr"]) - names - FOREIGN
        expect(f"{alert['alert']} is about metrics that there are", not unknown, unknown)
        missing = {"summary", "description", "runbook"} - set(alert["annotations"])
        expect(f"{alert['alert']} says what to do", not missing, missing)
        expect(f"{alert['alert']} has a severity", alert["labels"]["severity"] in ("critical", "warning"))
    readme = (ROOT / "compose/README.md").read_text()
    untold = [alert["alert"] for alert in alerts() if f"`{alert['alert']}`" not in readme]
    expect("compose/README.md explains every alert", not untold, untold)

    dashboard = json.loads(DASHBOARD.read_text())
    queries = [(panel["title"], target["expr"]) for panel in dashboard["panels"]
               for target in panel.get("targets", [])]
    for title, query in queries:
        unknown = names_in(query) - names - FOREIGN
        expect(f"panel '{title}' is about metrics that there are", not unknown, unknown)
    shown = set().union(*(names_in(query) for _, query in queries))
    hidden = [name for name, *_ in rows
              if not shown & {name + end for end in ("", "_bucket", "_sum", "_count")}]
    expect("the dashboard shows every metric", not hidden, hidden)

    with tempfile.TemporaryDirectory() as folder:
        # The queries of the dashboard as rules, so that promtool reads them too.
        recorded = [{"record": f"panel:{i}", "expr": query.replace("$__rate_interval", "1m")}
                    for i, (_, query) in enumerate(queries)]
        panels = Path(folder) / "panels.yml"
        panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
        status, said = run(promtool, "check", "rules", str(panels))
        expect("promtool finds nothing wrong with the dashboard's queries", status == 0, said)

        # Annotations are compared word for word by promtool: left out here, they would be there twice.
        rules = yaml.safe_load(RULES.read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                rule.pop("annotations", None)
        (Path(folder) / "alerts.yml").write_text(yaml.safe_dump(rules))
        series = yaml.safe_load(SERIES.read_text())
        fired = {test["alertname"] for case in series["tests"] for test in case.get("alert_rule_test", [])
                 if test["exp_alerts"]}
        untested = [alert["alert"] for alert in alerts() if alert["alert"] not in fired]
        expect("every alert has been seen to fire", not untested, untested)
        # What must be silent: everything, while all is well.
        silent = next(case for case in series["tests"] if case["name"] == "all is well")
        silent["alert_rule_test"] = [{"eval_time": "30m", "alertname": alert["alert"], "exp_alerts": []}
                                     for alert in alerts()]
        (Path(folder) / "alerts_test.yml").write_text(yaml.safe_dump(series))
        status, said = run(promtool, "test", "rules", str(Path(folder) / "alerts_test.yml"))
        expect(f"{len(series['tests'])} recorded series fire what they should", status == 0, said)


if __name__ == "__main__":
    main()
