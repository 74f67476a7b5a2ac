#!/usr/bin/env python3
"""Writes what `scripts/bench --json FILE` measured as the Markdown tables of benchmarks/RESULTS.md.

Usage: bench_markdown.py FILE
"""

import json
import re
import sys

MAIN_SUITE = "aes128-gcm16"


def table(heads, rows):
    print("| " + " | ".join(map(str, heads)) + " |")
    print("|" + " --- |" * len(heads))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def unique(values):
    return list(dict.fromkeys(values))


def own_cycles(row):
    return row["cycles_per_packet"]["median"] - row["port_cycles"]


def ratio(row):
    return own_cycles(row) / row["ceiling_cycles"] if row["ceiling_cycles"] else None


def end_to_end(rows):
    print("## End to end, AES-128-GCM, TSC cycles a packet\n")
    cells = []
    for row in rows:
        cycles, times = row["cycles_per_packet"], ratio(row)
        ceiling = f"{row['ceiling_cycles']:.0f}" if times else ""
        cells.append([row["bench"], row["direction"], row["inner_bytes"], f"{row['sas']:,}", row["replay"],
                      f"{cycles['median']:.0f} ({cycles['min']:.0f}, {cycles['max']:.0f})",
                      f"{row['port_cycles']:.0f}", f"{own_cycles(row):.0f}", ceiling,
                      f"{times:.2f}" if times else "", f"{row['mpps']:.2f}", f"{row['gbps']:.2f}"])
    table(["bench", "to", "inner", "SAs", "replay", "total (min, max)", "port", "total - port", "ceiling", "ratio",
           "Mpps", "Gb/s"], cells)


def every_suite(rows):
    print("## Every suite: total - port (ratio to the ceiling)\n")
    sizes = unique(row["inner_bytes"] for row in rows)
    place = {(row["suite"], row["direction"], row["sas"], row["inner_bytes"]): row for row in rows}
    cells = []
    for key in unique(where[:3] for where in place):
        line = [key[0], key[1], f"{key[2]:,}"]
        for size in sizes:
            row = place.get((*key, size))
            times = ratio(row) if row else None
            line.append("" if row is None else f"{own_cycles(row):.0f}" + (f" ({times:.2f})" if times else ""))
        cells.append(line)
    table(["suite", "to", "SAs", *sizes], cells)


def suites_alone(rows):
    print("## Every suite alone: the engine's queue and IPsec-MB's raw call, one key\n")
    found = {}
    for row in rows:
        match = re.fullmatch(r"(raw_ipsec_mb|engine_queue)/(\S+)/(seal|open)/text:(\d+)/keys:1/hot:0", row["case"])
        if match and "cycles" in row:
            program, suite, way, size = match.groups()
            found.setdefault((suite, way), {})[program, int(size)] = row["cycles"]
    sizes = sorted({size for cases in found.values() for _, size in cases})
    cells = []
    for (suite, way), cases in found.items():
        line = [suite, way]
        for size in sizes:
            ours, raw = cases.get(("engine_queue", size)), cases.get(("raw_ipsec_mb", size))
            line.append("" if ours is None else f"{ours:.0f}" + (f" / {raw:.0f}" if raw else ""))
        cells.append(line)
    if cells:
        table(["suite", "", *(f"{size} B" for size in sizes)], cells)
    return {row["case"] for row in rows if re.match(r"\S+/(seal|open)/text", row["case"])}


def parts(rows, left_out):
    print("## Parts\n")
    cells = []
    for row in rows:
        if row["case"] in left_out:
            continue
        others = [f"{name} {row[name]:g}" for name in ("ns", "erase_ns", "insert_ns", "build_ms") if name in row]
        cycles = [f"{row['cycles']:.1f}"] if "cycles" in row else []
        label = f" {row['label']}" if row["label"] else ""
        cells.append([row["bench"], f"`{row['case']}`{label}", ", ".join(cycles + others)])
    table(["bench", "case", "cycles"], cells)


def ike(rows):
    print("## IKE\n")
    setups, kept = [], []
    for row in rows:
        loop = row.get("loop")
        times = f"{loop['median_us']}, {loop['p99_us']}, {loop['max_us']}" if loop else ""
        if "per_cpu_s" in row:
            rate = row["per_cpu_s"]
            setups.append([row["case"], f"{row['connections']:,}",
                           f"{rate['median']:,.0f} ({rate['min']:,.0f}, {rate['max']:,.0f})",
                           f"{row['per_s']['median']:,.0f}", f"{row['control_us']['median']:.0f}",
                           f"{row['keys_us']['median']:.0f}", f"{row['initiator_us']['median']:.0f}",
                           f"{row['bytes_an_sa']:,.0f}", times])
        else:
            kept.append([row["case"], f"{row['connections']:,}", row["seconds"], f"{row['child_rekeys_per_s']:.0f}",
                         row["lost"], f"{row['control_share']:.0%}", f"{row['keys_share']:.0%}",
                         f"{row['bytes_an_sa']:,.0f}", times, f"{loop['over_1_ms']:,} of {loop['rounds']:,}",
                         f"{loop['work']['over_1_ms']:,}, {loop['work']['max_us']:,}"])
    table(["case", "SAs", "set-ups a CPU second (min, max)", "a second", "control us", "keys us", "initiator us",
           "bytes an SA", "loop p50, p99, max us"], setups)
    if kept:
        table(["case", "SAs", "seconds", "child rekeys a second", "lost", "control", "keys", "bytes an SA",
               "loop p50, p99, max us", "rounds over 1 ms", "by CPU time, and max us"], kept)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    rows = [row for row in document["rows"] if row["bench"] != "ike"]
    main_rows = [row for row in rows if row["suite"] == MAIN_SUITE]
    esp_rows = [row for row in rows if row["bench"] == "esp" and row["replay"] != "on"]
    print(f"Commit {document['commit']}; load average afterwards {document['load'][0]:.1f}\n")
    if main_rows:
        end_to_end(main_rows)
    if len(unique(row["suite"] for row in rows)) > 1:
        every_suite(esp_rows)
    ike_rows = [row for row in document["rows"] if row["bench"] == "ike"]
    if ike_rows:
        ike(ike_rows)
    if document["microbenchmarks"]:
        crypto = [row for row in document["microbenchmarks"] if row["bench"] == "crypto"]
        parts(document["microbenchmarks"], suites_alone(crypto))


main()
