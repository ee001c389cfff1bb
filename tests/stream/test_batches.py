# SPDX-License-Identifier: Apache-2.0
"""While more is waiting than a transaction had time for, the next ones may take longer, so that a
backlog takes fewer of them; commit.interval.ms.max bounds it."""
import collections
import re
import unittest

from orderlog_world import WorldTest, wait_until

# Enough for dozens of transactions of a millisecond each, whatever else the machine does.
ORDERS = 10000


class Batches(WorldTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.world.start("order").await_ready().terminate()
        cls.sent = collections.Counter()  # by partition

    def transactions(self, name, longest_ms):
        """How many a new worker needs for orders that wait for it."""
        def committed():
            return self.world.offsets("order").items()

        def count():
            return sum(int(re.search(r"seq=(\d+)", metadata)[1]) for _, (_, metadata) in committed())
        self.sent.update(self.world.partition_of(self.world.place(f"{name}-{number}"))
                         for number in range(ORDERS))
        self.world.flush()
        before = count()
        worker = self.world.start("order", commit_interval_ms=1, commit_interval_ms_max=longest_ms,
                                  commit_linger_ms=0, commit_linger_ms_max=0,
                                  snapshot_interval_ms=0)
        wait_until(lambda: all(offset >= self.sent[partition]
                               for partition, (offset, _) in committed()), "all orders are read")
        worker.terminate()
        return count() - before

    def test_a_backlog_takes_fewer_transactions_when_they_may_last_longer(self):
        short = self.transactions("short", 1)
        long = self.transactions("long", 1000)
        self.assertLess(2 * long, short, f"{long} and {short} transactions")


if __name__ == "__main__":
    unittest.main(verbosity=2)
