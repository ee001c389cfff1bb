# SPDX-License-Identifier: Apache-2.0
"""What the README begins with, as a stranger does it: compose/up in a folder of its own, twice, the lines
that it prints, a killed role, a replay of all orders that are there, and compose/down --purge."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from world import REAL_ORDERS, ROOT, Failed, expect, free_port, wait_until

PORTS = ("GATEWAY_PORT", "QUERY_PORT", "KAFKA_PORT", "REGISTRY_PORT", "POSTGRES_PORT")


class Stranger:
    """Types commands into a shell, with a data folder and ports that nobody else has."""

    def __init__(self, folder):
        self.data = Path(folder) / "data"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("ORDERLOG_")
                    or name == "ORDERLOG_CACHE"}
        self.env |= {name: str(free_port()) for name in PORTS}
        self.env["ORDERLOG_DATA"] = str(self.data)

    def type(self, line, seconds=600, good=True):
        done = subprocess.run(["bash", "-c", line], cwd=ROOT, env=self.env, text=True, timeout=seconds,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if good and done.returncode != 0:
            raise Failed(f"{line}\nended with {done.returncode}:\n{done.stdout[-4000:]}")
        return done.stdout

    def tool(self, command, words="", **options):
        return self.type(f"{self.data}/bin/orderlog {command} --config {self.data}/orderlog.conf {words}", **options)

    def roles(self):
        """{name: (state, pid, ready)} of what compose/status lists."""
        rows = (line.split() for line in self.type("compose/status", good=False).splitlines())
        return {row[0]: (row[1], row[2], row[4]) for row in rows
                if len(row) > 5 and row[4] in ("yes", "no")}

    def all_run(self):
        roles = self.roles()
        return len(roles) == 10 and all(row[0] == "RUNNING" and row[2] == "yes" for row in roles.values())


def pasted_lines_work(shell, printed):
    lines = printed[printed.index("Place an order, and read it back:"):printed.index("Next:")].splitlines()[1:]
    events = re.search(r"^  (\S+ events .*)#", printed, re.M)[1]
    pasted = "\n".join(line.strip() for line in lines)
    answer = shell.type(pasted)
    expect("the printed lines place an order and read it back",
           '"order_id"' in answer and answer.count('"customer-1"') == 1, answer)
    order_id = re.search(r'"order_id": *"([^"]+)"', answer)[1]

    def completed():
        return "OrderCompleted" in shell.type(f'id() {{ echo {order_id}; }}; {events}')

    wait_until("the order is not completed", completed, 60, 0.5)
    listed = shell.tool("events", f"{order_id} --json")
    versions = [int(v) for v in re.findall(r'"version": *(\d+)', listed)]
    expect("its versions are 1..n without a gap", versions == list(range(1, len(versions) + 1)) != [], listed)


def killed_role_returns(shell):
    before = shell.roles()["order"][1]
    os.kill(int(before), signal.SIGKILL)
    wait_until("the supervisor does not start the order processor again",
               lambda: shell.all_run() and shell.roles()["order"][1] != before, 60, 0.5)
    print("holds  a killed role is started again", flush=True)


def replay_agrees(shell):
    path = REAL_ORDERS
    if not path.exists():
        path = shell.data / "made.csv"
        path.write_text(shell.tool("generate", "--orders 2000 --seed 7"))
    said = shell.tool("replay", f"{path} --stock auto", seconds=1500)
    print(said[-1500:], flush=True)
    expect("every order of the file is accounted for, to the penny",
           "they agree" in said and re.search(r"unexplained:\s+0\b", said), said[-4000:])
    expect("verify holds", "All promises hold" in shell.tool("verify"))


def main():
    with tempfile.TemporaryDirectory(prefix="orderlog-main-job-") as folder:
        os.chmod(folder, 0o755)  # PostgreSQL has a user of its own
        shell = Stranger(folder)
        try:
            printed = shell.type("compose/up", seconds=1500)
            pasted_lines_work(shell, printed)
            again = shell.type("compose/up")
            expect("twice is harmless", "0 migrations applied" in again and "Next:" in again, again)
            expect("compose/status says that all run", shell.all_run(), shell.type("compose/status", good=False))
            killed_role_returns(shell)
            replay_agrees(shell)
        finally:
            said = shell.type("compose/down --purge", good=False)
        expect("compose/down --purge leaves nothing", not shell.data.exists(), said)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"FAILED: {failure}")
