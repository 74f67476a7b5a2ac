#!/usr/bin/env python3
"""Prints what the microbenchmarks measured as one table, and gathers all results in one JSON file.

Usage: bench_report.py FOLDER FILE. FOLDER holds esp.rows and ike.rows (of esp_bench and ike/bench.py) and
NAME.json of each google-benchmark program; FILE may be empty.
"""

import json
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Counters that the programs set themselves; all others describe google-benchmark's own run.
OURS = ("cycles", "ns", "erase_ns", "insert_ns", "build_ms")


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def commit():
    command = ["git", "-c", "safe.directory=*", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def short(name):
    """Without google-benchmark's notes on how it ran."""
    parts = name.split("/")
    return "/".join(part for part in parts if not part.startswith(("min_time:", "iterations:", "min_warmup")))


def rows_of(path):
    for run in json.loads(path.read_text(encoding="utf-8"))["benchmarks"]:
        counters = {name: round(run[name], 2) for name in OURS if name in run}
        yield {"bench": path.stem, "case": short(run["name"]), "label": run.get("label", ""), **counters}


def sa_table_ratios(parts):
    """Lines: the SA table's cycles to those of rte_hash for each number of SAs and kind of lookup."""
    cycles = {row["case"]: row["cycles"] for row in parts if row["bench"] == "sa-table" and "cycles" in row}
    kinds = {"0": "found", "1": "not found", "2": "half found"}
    for case, theirs in cycles.items():
        found = re.fullmatch(r"rte_hash_bulk/plain/(sas:(\d+)/hit0_miss1_half2:(\d))", case)
        ours = found and cycles.get(f"sa_table/avx512/{found[1]}")
        if ours:
            verdict = "met" if ours / theirs <= 1 / 3 else "missed"
            yield (f"sa-table    {int(found[2]):,} SAs, {kinds[found[3]]}: {ours / theirs:.2f} of rte_hash "
                   f"(aim: at most 0.33; {verdict})")


def main():
    folder, target = pathlib.Path(sys.argv[1]), sys.argv[2]
    parts = [row for path in sorted(folder.glob("*.json")) for row in rows_of(path)]
    if parts:
        print(f"{'bench':<11} {'case':<62} {'cycles':>8}")
    for row in parts:
        others = "  ".join(f"{name} {row[name]:g}" for name in OURS[1:] if name in row)
        cycles = f"{row['cycles']:>8.1f}" if "cycles" in row else " " * 8
        print(f"{row['bench']:<11} {row['case']:<62} {cycles}  {others} {row['label']}".rstrip())
    for line in sa_table_ratios(parts):
        print(line)
    if target:
        rows = [row for name in ("esp.rows", "ike.rows") if (folder / name).exists()
                for row in json.loads((folder / name).read_text(encoding="utf-8"))]
        document = {
            "machine": processor(),
            "cpus": os.cpu_count(),
            "kernel": platform.release(),
            "commit": commit(),
            "load": os.getloadavg(),
            "rows": rows,
            "microbenchmarks": parts,
        }
        pathlib.Path(target).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


main()
