# SPDX-License-Identifier: Apache-2.0
"""What schemathesis has to know of us: how NDJSON is sent, and for what reasons a request that fits
its schema may still be refused."""
import re

import schemathesis
from schemathesis.generation import GenerationMode

PROBLEM = "urn:orderlog:problem:"
# Of an order: what only catalogue and arithmetic can tell.
MEANT = {"unknown-sku", "currency-differs", "total-differs", "total-overflow", "invalid-amount",
         "invalid-value", "message-too-large"}
READS = {"listOrders", "getOrder", "listOrderEvents", "getInventory", "getCommand", "readStats", "summariseCustomer",
         "getCustomer", "listCustomers"}


@schemathesis.serializer("application/x-ndjson", "application/jsonl")
def ndjson(ctx, value):
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else str(value).encode()


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """A read that waits does so for milliseconds: ten seconds each would be a day."""
    wait = (case.query or {}).get("wait")
    if isinstance(wait, str) and re.fullmatch(r"([0-9]|10)s|([0-9]{1,4}|10000)ms", wait):
        case.query["wait"] = f"{int(wait.rstrip('ms')) % 20}ms"
    # schemathesis has a form of its own for this header, and takes it for valid beside our pattern.
    version = (case.headers or {}).get("If-Match")
    if version is not None and is_positive(case) and not re.fullmatch(r'\*|"[1-9][0-9]{0,17}"', version):
        case.headers["If-Match"] = '"3"'


@schemathesis.check
def refused_for_its_meaning_only(ctx, response, case):
    if response.status_code != 422 or not is_positive(case):
        return
    problem = response.json()
    kind = problem["type"].removeprefix(PROBLEM)
    assert kind in MEANT, f"a body that fits its schema is refused: {problem}"
    if kind == "invalid-amount":
        assert problem["errors"][0]["field"] == "discount_minor", problem
    if kind == "invalid-value":  # who has personal data has an id without a slash
        assert "shipping_address" in problem["errors"][0]["detail"], problem


@schemathesis.check
def times_alone_make_statistics_refused(ctx, response, case):
    operation = case.operation.definition.raw["operationId"]
    if response.status_code == 400 and operation == "readStats" and is_positive(case):
        assert "from" in case.query or "to" in case.query, response.text
        assert "from" in response.json()["detail"], response.text


@schemathesis.check
def cursors_alone_make_a_list_refused(ctx, response, case):
    operation = case.operation.definition.raw["operationId"]
    if response.status_code == 400 and operation == "listCustomers" and is_positive(case):
        assert response.json()["detail"].startswith("cursor is"), response.text


@schemathesis.check
def late_only_where_asked_to_wait(ctx, response, case):
    if response.status_code != 504:
        return
    assert case.operation.definition.raw["operationId"] in READS, response.text
    assert response.json()["type"] == PROBLEM + "not-yet", response.text
    assert "after" in (case.query or {}) or "wait" in (case.query or {}), response.text
    assert int(response.headers["retry-after"][0]) >= 1
