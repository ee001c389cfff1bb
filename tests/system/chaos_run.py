# SPDX-License-Identifier: Apache-2.0
"""Breaks a real system under load by a seeded schedule, lets it heal, and judges what is left.

The schedule, the orders and all that is random follow from the seed; the timing of processes does
not, so that a replay attacks alike, not identically. Ends with a table of faults and outcomes.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

from chaos_faults import Faults, schedule
from chaos_load import Load
from chaos_world import ChaosWorld, NotAllowed
from world import ROOT, Failed, wait_until

BUSY_RATE = 200  # orders per second
JUDGE_S = 900  # for the checker, and for orderlog verify
AFTERWARDS_S = 2 * JUDGE_S + 900  # to start, to heal, to come to rest, and to be judged
QUIET_S = 240  # after this, what is not quiet has failed
REGISTRY_CONNECTIONS = 40  # at most, to its database
SKIPPED = 77  # exit status: as other test tools say it


last_said = ""


def say(text):
    global last_said
    last_said = text
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def end_by(seconds):
    """However the run hangs: it fails by then, with what it was about, and not by a test tool's time-out."""
    def too_late(*_):
        raise Failed(f"not at its end after {seconds} s; the last that was said: {last_said}")

    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)


class Lane(threading.Thread):
    """Plays its part of the schedule, one fault after the other."""

    def __init__(self, faults, plan, started, done):
        super().__init__(daemon=True)
        self.faults, self.plan, self.started, self.done = faults, plan, started, done
        self.failure = None

    def run(self):
        for fault in self.plan:
            if self.faults.healing.wait(max(0, self.started + fault.at_s - time.monotonic())):
                return
            say(f"  {fault.name} {fault.arguments or ''}")
            try:
                getattr(self.faults, fault.name)(**fault.arguments)
            except Exception as failure:
                self.failure = Failed(f"while {fault.name} {fault.arguments}: {failure}")
                return
            what = fault.arguments.get("mode", {})
            self.done[fault.name, next((fault.arguments[n] for n in ("role", "server", "topic")
                                        if n in fault.arguments), ""),
                      what.get("mode", "") + str(what.get("api", ""))] += 1


def attack(world, load, plan, seconds, bad):
    faults = Faults(world, bad)
    done = Counter()
    started = time.monotonic()
    lanes = [Lane(faults, [f for f in plan if f.lane == lane], started, done)
             for lane in sorted({f.lane for f in plan})]
    for lane in lanes:
        lane.start()

    def over():
        load.check()
        for lane in lanes:
            if lane.failure:
                raise lane.failure
        return time.monotonic() - started > seconds

    try:
        wait_until("the attack does not end", over, seconds + 120, 0.2)
    finally:
        faults.healing.set()
        for lane in lanes:
            lane.join(120)
    for lane in lanes:
        if lane.failure:
            raise lane.failure
        if lane.is_alive():
            raise Failed("a fault could not be healed")
    for server, counts in faults.misdeeds.items():
        say(f"the proxy to {server}: {counts}")
    for server, times in faults.ended_by_it.items():
        say(f"{server} was ended by a full disk {times} times")
    return done


def registry_answers(world):
    """On each connection to its database: those from before an outage fail once."""
    try:
        for _ in range(REGISTRY_CONNECTIONS):
            with urllib.request.urlopen(f"{world.registry}/subjects", timeout=10) as reply:
                reply.read()
    except OSError:
        return False
    return True


def settle(world):
    """Everything is ready and no order is under way, or the run has failed."""
    world.await_ready()
    wait_until("the registry has not recovered", lambda: registry_answers(world), 120)

    def open_orders():
        # What is cancelled may still wait for the provider to say that it has let go of the money.
        return world.sql("SELECT count(*) AS n FROM orders WHERE stage = 'OPEN' OR "
                         "payment_status IN ('VOID_REQUESTED', 'CAPTURE_REQUESTED')")[0]["n"]

    began = time.monotonic()
    last = [None, 0]

    def quiet():
        # The read model follows the log: unmoved and with nothing open is quiet.
        now = open_orders(), world.sql("SELECT sum(next_offset) AS n FROM projection_offsets")[0]["n"]
        last[1] = last[1] + 1 if now == last[0] else 0
        last[0] = now
        return now[0] == 0 and last[1] >= 4

    try:
        wait_until("orders are still open", quiet, QUIET_S, 0.5)
    except Failed:
        say(f"{last[0][0]} orders are still open")  # the checker tells which
    say(f"quiet after {time.monotonic() - began:.0f} s")


def judge(world, options, bad, folder):
    bad_path = folder / "bad.json"
    bad_path.write_text(json.dumps({t: sorted(p) for t, p in bad.items()}))
    foreign_path = folder / "foreign.json"
    foreign_path.write_text(json.dumps(world.foreign_commits))
    command = [sys.executable, str(Path(__file__).with_name("checker")),
               "--bootstrap", world.bootstrap, "--registry", world.registry,
               "--postgres", world.postgres, "--history", str(folder / "history.jsonl"), "--bad", str(bad_path),
               "--payment-ledger", world.env["ORDERLOG_PAYMENT_LEDGER"],
               "--carrier-ledger", world.env["ORDERLOG_CARRIER_LEDGER"]]
    result_path = folder / "result.json"
    command += ["--result", str(result_path), "--foreign", str(foreign_path)]
    if options.prove:
        command.append("--prove")
    try:
        if subprocess.run(command, timeout=JUDGE_S).returncode != 0:
            world.defects.append("the checker found broken promises")
        verified = subprocess.run([world.program, "verify", "--wait", "60"], env=world.env,
                                  text=True, capture_output=True, timeout=JUDGE_S)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{late.cmd[1]} did not end in {JUDGE_S} s") from None
    print(verified.stdout + verified.stderr)
    if verified.returncode != 0:
        world.defects.append(f"orderlog verify ended with {verified.returncode}")
    if not result_path.exists():
        raise Failed("\n".join(["the checker did not come to an end", *world.defects]))
    return json.loads(result_path.read_text())


def table(title, counts, sort=sorted):
    print(f"{title}:")
    for name, count in sort(counts.items()):
        print(f"  {count:7} {name if isinstance(name, str) else ' '.join(n for n in name if n)}")


def finish(world, load, options, bad, folder, title, done):
    """When all is healed and the load has ended: everything must come to rest, and be right."""
    load.check()
    settle(world)
    result = judge(world, options, bad, folder)
    table(title, done)
    print(f"{sum(done.values()):9} in all")
    table("processes ended", world.exits)
    table("requests, and what they were told", load.history.counts)
    table("orders by status", result["statuses"])
    table("orders", {**result["orders"], "completed": result["statuses"].get("COMPLETED", 0)})
    table("violations", result["violations"], list)
    print(f"{sum(result['violations'].values()):9} in all")
    if world.defects:
        raise Failed("\n".join(world.defects))


def in_folder(name, kept, attempt):
    """attempt(folder) with a new folder, which is left where it fails; the exit status."""
    folder = Path(kept or tempfile.mkdtemp(prefix=f"orderlog-{name}."))
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # PostgreSQL has a user of its own
    try:
        attempt(folder)
    except NotAllowed as reason:
        say(f"SKIPPED: {reason}")
        return SKIPPED
    except Failed as failure:
        say(f"FAILED: {failure}")
        if not kept:
            print(f"logs and history are left in {folder}")
        return 1
    if not kept:
        shutil.rmtree(folder)
    say("survived")
    return 0


def run(world, options, folder):
    bad = {}
    load = Load(world, folder / "history.jsonl", options.seed, options.rate)
    load.stock()
    plan = schedule(options.seed, options.minutes * 60, world, options.only)
    say(f"{len(plan)} faults in {options.minutes:g} minutes:")
    for fault in plan:
        print(f"  {fault.at_s:6.1f} s {fault.name} {fault.arguments or ''}")
    load.start()
    try:
        done = attack(world, load, plan, options.minutes * 60, bad)
        seconds = options.minutes * 60
        placed, acknowledged = load.totals()
        say(f"in {seconds:.0f} s {placed} orders were placed ({placed / seconds:.0f}/s), "
            f"{acknowledged} acknowledged ({acknowledged / seconds:.0f}/s)")
        say("healing")
        world.await_ready()
    finally:
        load.stop()
    finish(world, load, options, bad, folder, "faults survived", done)


def main():
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=100, help="orders per second")
    parser.add_argument("--proxy", action="store_true",
                        help="put a proxy between roles and servers, and let it misbehave")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1,
                        help="a cluster whose brokers are lost one at a time")
    parser.add_argument("--outside", action="store_true",
                        help="provider and carrier as processes behind the proxy")
    parser.add_argument("--small-disks", action="store_true",
                        help="servers on small file systems, which run full (needs mount)")
    parser.add_argument("--only", nargs="*", default=(), help="only these kinds of faults")
    parser.add_argument("--prove", action="store_true",
                        help="also damage what the checker has read, to see that it notices")
    parser.add_argument("--keep", help="use this new folder and keep it")
    parser.add_argument("--end-by", type=int, help="seconds after which the run has failed")
    options = parser.parse_args()
    if options.proxy and options.brokers > 1:
        parser.error("the proxy stands before one broker")
    again = (f"tests/system/chaos {options.program} --seed {options.seed} --minutes {options.minutes:g} "
             f"--rate {options.rate:g}" + (" --proxy" if options.proxy else "") +
             (f" --brokers {options.brokers}" if options.brokers > 1 else "") +
             (" --outside" if options.outside else "") +
             (" --small-disks" if options.small_disks else "") +
             (f" --only {' '.join(options.only)}" if options.only else ""))
    say(f"replay with: {again}")

    def attempt(folder):
        with ChaosWorld(Path(options.program).resolve(), folder, options.proxy,
                        options.brokers, options.outside, options.small_disks,
                        options.rate > BUSY_RATE) as world:
            end_by(options.end_by or int(options.minutes * 60) + AFTERWARDS_S)
            try:
                run(world, options, folder)
            except Exception:
                for role in list(world.roles.values()):
                    print(f"--- {role.name}\n{role.tail()}")
                raise
            finally:
                signal.alarm(0)

    status = in_folder("chaos", options.keep, attempt)
    if status == 1:
        say(f"replay with: {again}")
    return status


if __name__ == "__main__":
    sys.exit(main())
