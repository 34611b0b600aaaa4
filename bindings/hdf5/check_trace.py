#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reads a trace with the tools its users have: h5py, pandas and h5dump. Used by trace_file_test.cc.

usage: check_trace.py TRACE all|partial ROWS
"""
import subprocess
import sys

import h5py
import numpy as np
import pandas
import yaml


def expected_packets(rows: int) -> dict[str, np.ndarray]:
    """The values that the writer makes from the row's number alone."""
    i = np.arange(rows, dtype=np.int64)
    return {
        "packet": i,
        "vm": i % 65,
        "arrival_ns": i * 1000 + 7,
        "departure_ns": np.where(i % 10 == 0, -1, i * 1000 + 500),
        "wire_bytes": 60 + i % 1400,
        "host_cycles": i % 9001,
        "device_cycles": i % 77,
        "prediction_cycles": i % 31,
    }


def check_declaration(trace: h5py.File, source: str) -> None:
    """Every table, column, unit and name is the one declared in trace_events.yaml."""
    with open(f"{source}/models/base/trace_events.yaml", encoding="utf-8") as stream:
        declared = yaml.safe_load(stream)
    assert trace.attrs["version"] == declared["version"]
    assert set(trace) == set(declared["tables"])
    for name, table in declared["tables"].items():
        dataset = trace[name]
        assert dataset.attrs["doc"] == table["doc"].strip(), name
        assert dataset.compression == "gzip" and dataset.chunks is not None
        assert list(dataset.dtype.names) == list(table["columns"])
        for column, says in table["columns"].items():
            assert dataset.attrs[f"{column}.unit"] == says["unit"], column
            assert dataset.attrs[f"{column}.doc"] == says["doc"].strip(), column
            names = h5py.check_enum_dtype(dataset.dtype[column])
            if "names" in says:
                assert names == {text: value for value, text in enumerate(says["names"])}, column
            else:
                assert names is None, column


def main() -> None:
    path, extent, rows, source = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    with h5py.File(path, "r") as trace:
        check_declaration(trace, source)
        packets = trace["packets"][:]
        assert len(packets) == rows if extent == "all" else len(packets) >= rows, len(packets)
        for column, values in expected_packets(len(packets)).items():
            assert (packets[column][:rows].astype(np.int64) == values[:rows]).all(), column
        if extent == "partial":
            return
        assert trace["flows"][0]["source_address"].tolist() == [10, 0, 0, 1] + 12 * [0]
        assert trace["stations"][0]["name"] == b"parser"
        assert trace["work"][0]["install"] == 2**40
        assert trace["alerts"][0]["time_ns"] == -5
    frame = pandas.read_hdf(path, "packets")
    assert frame["departure_ns"].min() == -1 and len(frame) == rows
    text = subprocess.run(["h5dump", "-d", "decisions", path], capture_output=True, text=True, check=True).stdout
    assert "meter_red" in text and "yellow" in text and "replayed" in text, text


if __name__ == "__main__":
    main()
