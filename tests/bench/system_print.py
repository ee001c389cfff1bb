# SPDX-License-Identifier: Apache-2.0
"""Prints what system_load found."""


def print_throughput(found):
    per_s = found["completed_per_s"]
    print(f"\nSustained, HTTP batch to COMPLETED in PostgreSQL: {per_s:,} orders/s")
    print(f"  {found['orders']:,} orders in {found['seconds']:.1f} s; the gateway took"
          f" {found['accepted_per_s']:,}/s; {found['resent_batches']} batches resent;"
          f" {found['cpu_cores_busy']:.2f} cores busy")
    print(f"  behind at the end: {found['lags']}")


def print_cpu(found):
    print(f"\n{'CPU per order':24}{'µs':>8}   {'memory now':>12}{'peak':>8}  MiB")
    rows = sorted(found["cpu_us_per_order"].items(), key=lambda row: -row[1])
    for name, used in rows:
        memory = found["memory"].get(name)
        text = f"   {memory['now_mib']:12.0f}{memory['peak_mib']:8.0f}" if memory else ""
        print(f"  {name:22}{used:8.1f}{text}")
    print(f"  {'all':22}{sum(used for _, used in rows):8.1f}")


def print_records(records, rows, wal_bytes):
    print(f"\n{'Written per order':24}{'records':>9}{'groups':>9}{'markers':>9}"
          f"{'payload B':>11}{'log B':>9}")
    columns = ("records", "groups", "markers", "payload_bytes", "log_bytes")
    total = dict.fromkeys(columns, 0)
    for topic, row in records.items():
        print(f"  {topic:22}{row.get('records', 0):9.2f}{row.get('groups', 0):9.3f}"
              f"{row.get('markers', 0):9.3f}{row.get('payload_bytes', 0):11.0f}"
              f"{row.get('log_bytes', 0):9.0f}")
        for column in columns:
            total[column] += row.get(column, 0)
    print(f"  {'all':22}{total['records']:9.2f}{total['groups']:9.3f}{total['markers']:9.3f}"
          f"{total['payload_bytes']:11.0f}{total['log_bytes']:9.0f}")
    for table, row in rows.items():
        print(f"  {table:22}{row['inserted']:9.2f} rows inserted, {row['updated']:.2f} updated"
              f" ({row['updated_hot']:.2f} in place)")
    print(f"  write-ahead log {wal_bytes:,} bytes")


LATENCIES = (
    ("sent_late", "sent late (generator)"),
    ("accepted", "→ 202"),
    ("placed_in_log", "→ OrderPlaced in log"),
    ("confirmed", "→ OrderConfirmed in log"),
    ("booked", "→ shipment booked in log"),
    ("completed", "→ OrderCompleted in log"),
    ("visible", "→ visible in PostgreSQL"),
    ("confirmed_visible", "→ confirmed, visible"),
    ("completed_visible", "→ completed, visible"),
)


def print_latency(found):
    print(f"\nOpen loop, {found['rate']} orders/s, {found['orders']:,} single POSTs, from the"
          f" intended time; {found['refused']} refused; {found['cpu_cores_busy']:.2f} cores busy")
    print(f"  {'ms':26}{'p50':>8}{'p90':>8}{'p99':>8}{'p99.9':>8}{'max':>8}")
    for name, label in LATENCIES:
        row = found[name]
        if row["count"]:
            print(f"  {label:26}" + "".join(
                f"{row[point]:8.1f}" for point in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")
            ))
