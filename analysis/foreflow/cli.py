# SPDX-License-Identifier: BSD-3-Clause
"""The command line. Standard output holds results, standard error all else; exit code 0 done, 1 failed, 2 refused."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from foreflow.doors import DOORS
from foreflow.errors import Failed, Refused

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=1, allow_nan=False))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def commands() -> None:
    """When does predicting traffic pay, and how much?"""


@commands.command()
@click.argument("scenario")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--arms", metavar="ARM,...", help="Of off, reactive, predictive, oracle, anti_oracle.")
@click.option("--seeds", type=int, metavar="N", help="Replications an arm, seeds 1 to N.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the result.  [default: runs/<scenario>-<hash>]")
@click.option("--fresh", is_flag=True, help="Run again what has been run before.")
@JSON_OPTION
def run(scenario: str, overrides: tuple[str, ...], arms: str | None, seeds: int | None, out: Path | None, fresh: bool, as_json: bool) -> None:
    """Run SCENARIO in all its arms on the same traffic, and judge them.

    SCENARIO is a folder of scenarios/ or a scenario file. KEY is any key of a scenario, dotted
    (device.flow_entries=20%), or one of the short names input, load, capacity.
    """
    from foreflow.judge import table
    from foreflow.runs import scenario as scenarios

    finished = scenarios.run_named(scenario, list(overrides), arms, seeds, out, fresh)
    document = finished.document
    if as_json:
        print_json(document)
    else:
        packets = document["packets"]
        dropped = sum(packets["dropped"].values())
        print(table.of_document(document))
        print(f"\nPackets of one run: in {packets['in']} = out {packets['out']} + held {packets['held']} + dropped {dropped}")
        for sentence in finished.sentences:
            print(sentence)
        print(f"\nReport   {document['outputs']['report']}\nFigures  {document['outputs']['folder']}/*.png, *.pdf")
    _complain(finished.failed)


@commands.command()
@click.argument("scenario", default="tag")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--predictors", default="markov3,gru,tabulated,tiered", show_default=True, metavar="NAME,...")
@click.option("--seeds", type=int, metavar="N", help="Replications, seeds 1 to N.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the result.  [default: runs/<scenario>-predictors-<hash>]")
@click.option("--fresh", is_flag=True, help="Run again what has been run before.")
@JSON_OPTION
def predictors(scenario: str, overrides: tuple[str, ...], predictors: str, seeds: int | None, out: Path | None, fresh: bool, as_json: bool) -> None:
    """Run SCENARIO with one predictor of types after the other on the same traffic, and print one table."""
    from foreflow.runs import predictors as comparison

    document = comparison.compare(scenario, list(overrides), predictors.split(","), seeds, out.absolute() if out else None, fresh)
    if as_json:
        print_json(document)
    else:
        print(comparison.text_of(document))
        print(f"\nResult   {document['outputs']['folder']}")


@commands.command()
@click.argument("scenario", default="tag")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--capacities", default="1%,2%,5%,10%,25%,50%", show_default=True, metavar="SLOTS,...", help="Of the device's rule table: numbers, or shares of the rules.")
@click.option("--seeds", type=int, metavar="N", help="Replications, seeds 1 to N.")
@click.option("--latency", "latency_seeds", type=click.IntRange(0, 1000), default=0, show_default=True, metavar="N", help="Of the first N seeds the 99th percentile of latency as well, from the simulator.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the result.  [default: runs/<scenario>-residency-<hash>]")
@JSON_OPTION
def residency(scenario: str, overrides: tuple[str, ...], capacities: str, seeds: int | None, latency_seeds: int, out: Path | None, as_json: bool) -> None:
    """Let the device of SCENARIO hold part of its rules, by every policy and with predictions, on the same traffic.

    Unless said otherwise the input is `sessions` over the scenario's rules (ruleset=acl1k, fw1k or a file), and the device
    has no flow cache.
    """
    from foreflow.runs import residency as holding

    document = holding.sweep(scenario, list(overrides), capacities.split(","), seeds, out.absolute() if out else None, latency_seeds)
    if as_json:
        print_json(document)
    else:
        print(holding.text_of(document))
        print(f"\nResult   {document['outputs']['folder']}")


@commands.command()
@click.argument("spec", type=click.Path(path_type=Path, dir_okay=False))
@click.option("-j", "jobs", type=click.IntRange(1, 4096), metavar="N", help="Cores of this machine to use.  [default: all]")
@click.option("--dask", metavar="ADDRESS", help="Run on a Dask cluster: tcp://HOST:PORT of its scheduler, local:N, or ssh:HOST,HOST,...")
@click.option("--slurm", is_flag=True, help="Run as array jobs of this SLURM cluster.")
@click.option("--dry-run", is_flag=True, help="Say how many runs there are, how many are done, and the time expected; run none.")
@click.option("--store", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Where runs are kept.  [default: runs]")
@JSON_OPTION
def sweep(spec: Path, jobs: int | None, dask: str | None, slurm: bool, dry_run: bool, store: Path | None, as_json: bool) -> None:
    """Run a scenario over many points: grids, ranges and samples of its keys, as the file SPEC says.

    What is in the store already is not run again: after any interruption the same command goes on where it was. A run that
    fails is a row with its log, and the others go on. See analysis/foreflow/sweeps/README.md for SPEC.
    """
    from foreflow.sweeps import sweep as sweeping

    where = sweeping.Where(jobs, dask, slurm)
    if dry_run:
        expected, points = sweeping.forecast(spec, where, store)
        if as_json:
            print_json({**dataclasses.asdict(expected), "settings": points})
        else:
            print(expected.text())
        return
    swept = sweeping.sweep(spec, where, store)
    if as_json:
        print_json(swept.document)
    else:
        print(sweeping.text_of(swept))
    for row in swept.document["failed"]:
        print(f"foreflow: arm {row['arm']}, seed {row['seed']} at {row['parameters']} failed: {row['sentence']}; log: {row['log']}", file=sys.stderr)
    if swept.failed:
        raise Failed(f"{len(swept.failed)} of {len(swept.rows)} runs failed; the rest is above, and the same command tries them again")


@commands.command("break-even")
@click.argument("scenario", default="tag")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--inputs", default="recorded,dialogues,markov,websearch,datamining,hadoop,storage,memoryless", show_default=True, metavar="INPUT,...")
@click.option("--seeds", type=int, metavar="N", help="Replications, seeds 1 to N.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the result.  [default: runs/<scenario>-break-even-<hash>]")
@click.option("--fresh", is_flag=True, help="Run again what has been run before.")
@JSON_OPTION
def break_even(scenario: str, overrides: tuple[str, ...], inputs: str, seeds: int | None, out: Path | None, fresh: bool, as_json: bool) -> None:
    """Show on which inputs the predictions of SCENARIO pay: h against h*, and cycles spent against cycles saved."""
    from foreflow.runs import break_even as paying

    document = paying.compare(scenario, list(overrides), inputs.split(","), seeds, out.absolute() if out else None, fresh)
    if as_json:
        print_json(document)
    else:
        print(paying.text_of(document))
        print(f"\nResult   {document['outputs']['folder']}")


def _numbers(kind: type[int] | type[float]) -> Any:
    def read(context: click.Context, option: click.Parameter, text: str) -> list[int] | list[float]:
        try:
            return [kind(each) for each in text.split(",")]
        except ValueError:
            raise click.BadParameter(f"{text}: allowed are numbers, with commas between them") from None

    return read


@commands.command()
@click.argument("scenario", default="updates")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--rates", default="1,10,100,1000,10000", callback=_numbers(int), show_default=True, metavar="N,...", help="Updates a second, at the most.")
@click.option("--losses", default="0,0.01,0.1", callback=_numbers(float), show_default=True, metavar="SHARE,...", help="Of the control protocol's packets, either way.")
@click.option("--restarts", default="0,2", callback=_numbers(int), show_default=True, metavar="N,...", help="Of the device and the controller in turn.")
@click.option("--arms", default="reactive,predictive", show_default=True, metavar="ARM,...")
@click.option("--seeds", type=int, metavar="N", help="Replications, seeds 1 to N.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the result.  [default: runs/<scenario>-updates-<hash>]")
@click.option("--fresh", is_flag=True, help="Run again what has been run before.")
@JSON_OPTION
def updates(
    scenario: str, overrides: tuple[str, ...], rates: list[int], losses: list[float], restarts: list[int], arms: str, seeds: int | None,
    out: Path | None, fresh: bool, as_json: bool,
) -> None:  # fmt: skip
    """Sweep how often the host of SCENARIO updates its device: cost of stale rules, cost of updates, and the knee.

    Each packet of each run is checked against the one generation of rules that is in force.
    """
    from foreflow.runs import updates as updating

    document = updating.sweep(scenario, list(overrides), rates, losses, restarts, arms.split(","), seeds, out.absolute() if out else None, fresh)
    if as_json:
        print_json(document)
    else:
        print(updating.text_of(document))
        print(f"\nResult   {document['outputs']['folder']}")


def _floats(context: click.Context, option: click.Parameter, text: str) -> list[float]:
    return _numbers(float)(context, option, text) if text != "none" else []


@commands.command()
@click.argument("scenario", default="shard")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--networks", default="bursts,congestion,multipath,memoryless,requests,requests_congestion", show_default=True, metavar="NAME,...", help="Or none.")
@click.option("--loads", default="0.3,0.5,0.7,0.8,0.9,0.95,1.0,1.1", callback=_floats, show_default=True, metavar="SHARE,...", help="Of the bottleneck that size controllers are compared on, or none.")
@click.option("--seeds", type=int, metavar="N", help="Replications, seeds 1 to N.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the result.  [default: runs/<scenario>-pareto-<hash>]")
@click.option("--fresh", is_flag=True, help="Run again what has been run before.")
@JSON_OPTION
def pareto(scenario: str, overrides: tuple[str, ...], networks: str, loads: list[float], seeds: int | None, out: Path | None, fresh: bool, as_json: bool) -> None:
    """Compare all ways of making losses good on several networks, and size controllers under load.

    Per arm: completion time, bytes beyond the packets' own, requests in vain, and the share of the gap from RACK to clairvoyance closed.
    """
    from foreflow.runs import pareto as comparing

    document = comparing.compare(scenario, list(overrides), networks.split(",") if networks != "none" else [], loads, seeds, out.absolute() if out else None, fresh)
    if as_json:
        print_json(document)
    else:
        print(comparing.text_of(document))
        print(f"\nResult   {document['outputs']['folder']}")


def _complain(failed: list[Any]) -> None:
    for result in failed:
        print(f"foreflow: arm {result.run.arm}, seed {result.run.seed} failed: {result.sentence}; log: {result.folder / 'log.txt'}", file=sys.stderr)
    if failed:
        raise Failed(f"{len(failed)} of the runs failed; the rest is judged above")


@commands.command()
@click.argument("folder", metavar="RUN|STORE|SWEEP", type=click.Path(path_type=Path))
@JSON_OPTION
def report(folder: Path, as_json: bool) -> None:
    """Draw the report of a result of `run` again, from its traces; or write that of a store or a sweep.

    The page of a store or a sweep (STORE/sweeps/NAME) has figures, tables, what was set, and what failed with its log.
    """
    from foreflow.judge import table
    from foreflow.runs import scenario as scenarios

    place = folder.absolute()
    if not (place / "result.json").exists() and any((place / name).exists() for name in ("VERSION", "sweep.json")):
        from foreflow.judge import store_report

        document = store_report.write(place)
        print_json(document) if as_json else print(store_report.text_of(document))
        return
    finished = scenarios.redraw(place)
    if as_json:
        print_json(finished.document)
    else:
        print(table.of_document(finished.document))
        print(f"\nReport   {finished.document['outputs']['report']}")
    _complain(finished.failed)


@commands.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@JSON_OPTION
def compare(a: Path, b: Path, as_json: bool) -> None:
    """Say what was set otherwise in B than in A, and what came out otherwise.

    A and B are two runs, results of `run`, sweeps or stores. Runs of one seed are pairs: metrics get the mean difference with
    its 95 % interval, Hedges' g and a paired t-test, corrected for their number (Holm).
    """
    from foreflow.judge import compare as comparison

    document = comparison.compare(a.absolute(), b.absolute())
    print_json(document) if as_json else print(comparison.text_of(document))


@commands.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("changes", nargs=-1, metavar="[seed=N] [arm=ARM]")
@JSON_OPTION
def rerun(folder: Path, changes: tuple[str, ...], as_json: bool) -> None:
    """Run RUN once more, from its manifest, and say whether its fingerprint is the same.

    RUN is a folder of one arm and seed of run, or of replay --out. With seed=N or arm=ARM it says what that changed. Exit code
    1: nothing was changed, and yet the fingerprint is another.
    """
    from foreflow.runs import rerun as again

    document = again.rerun(folder.absolute(), list(changes))
    print_json(document) if as_json else print(again.text_of(document))
    sys.exit(0 if document["same"] or document["changed"] else 1)


@commands.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--update", is_flag=True, help="Make what comes out the expected figure.")
@JSON_OPTION
def figure(names: tuple[str, ...], update: bool, as_json: bool) -> None:
    """Make figures that the documentation shows again, in runs/figures; without NAME, list them.

    Exit code 1: the numbers of one (its CSV) are not the expected ones, those in scenarios/figures.
    """
    from foreflow.results import recipes

    loaded = [recipes.load(name) for name in names or recipes.names()]
    if not names:
        listed = [{"figure": each.name, "seconds": each.seconds, "shown_in": list(each.shown_in), "about": each.about} for each in loaded]
        if as_json:
            print_json(listed)
        else:
            print("\n".join(f"{each['figure']:<24} {each['seconds']:>6.0f} s  {each['about']}" for each in listed))
        return
    documents = [recipes.make(name, update) for name in names]
    print_json(documents) if as_json else print("\n".join(map(recipes.text_of, documents)))
    if not update and not all(each["same"] for each in documents):
        raise Failed("a figure is not as expected, see above")


@commands.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the recording.  [default: runs/recorded]")
@click.option("--plan", default="office", show_default=True, help="Who is there and what they do: see datasets/record/README.md.")
@click.option("--seconds", type=click.IntRange(1, 3600), default=60, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of what the clients choose.")
def record(out: Path | None, plan: str, seconds: int, seed: int) -> None:
    """Record labelled traffic of real programs in network namespaces (needs root)."""
    from foreflow.places import RUNS
    from foreflow.programs import record as record_traffic

    sys.exit(record_traffic((out or RUNS / "recorded").absolute(), plan, seconds, seed))


@commands.command()
@click.argument("capture", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--door", type=click.Choice(list(DOORS)), default="pcap", show_default=True, help="What carries the packets.")
@click.option("--config", "scenario", default="tag", show_default=True, metavar="SCENARIO|FILE", help="Scenario whose host, device and rules decide.")
@click.option("--arm", default="predictive", show_default=True, help="Who decides what is on the device.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of the dpdk door; the others decide on one, whatever N. Decides nothing: see device.lanes.")
@click.option("--loop", "loops", type=click.IntRange(1, 10**9), default=1, show_default=True, metavar="N", help="Passes over the capture (doors pcap and dpdk).")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the run in this folder, for diff and explain.")
@click.option("--wire", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write what packet dynamics units (section shard) send to this pcapng file.")
@click.option("--key-log", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write their keys, with which `dissect` reads it.")
@click.option("--fingerprint", is_flag=True, help="Print the digest alone on the last line.")
@JSON_OPTION
def replay(
    capture: Path, overrides: tuple[str, ...], door: str, scenario: str, arm: str, workers: int, loops: int,
    wire: Path | None, key_log: Path | None, out: Path | None, fingerprint: bool, as_json: bool,
) -> None:  # fmt: skip
    """Decide every packet of CAPTURE at its recorded time.

    The same packets, times and configuration are decided alike behind every door, by any number of workers.
    """
    from foreflow.traces.replays import Replay, keep, show

    wanted = Replay(capture, scenario, list(overrides), arm, door, workers, loops, wire, key_log)
    sys.exit(keep(wanted, out, fingerprint, as_json) if out else show(wanted, fingerprint, as_json))


class _BeforeEalArguments(click.Command):
    """A command whose own words end at `--`; what follows is DPDK's and lands in ctx.obj."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        ctx.obj = args[end + 1 :]
        return super().parse_args(ctx, args[:end])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- [EAL ARGUMENT]..."]


@commands.command(cls=_BeforeEalArguments)
@click.argument("scenario")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--arm", default="predictive", show_default=True, help="Of off, reactive, predictive.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Cores that decide; as many as device.lanes have work.")
@click.option("--uplink", default="last", show_default=True, help="Port (number or name) of the world outside, or none. The others belong to VMs 1, 2, ... in order.")
@click.option("--mirror", default="none", show_default=True, help="Port that gets copies of mirrored packets.")
@click.option("--switch", "switching", type=click.Choice(["learn", "pair"]), default="learn", show_default=True, help="A bridge, or wires between ports 0 and 1, 2 and 3, ...")
@click.option("--mtu", type=click.IntRange(68, 65000), help="Of all ports, in bytes.  [default: as they have it]")
@click.option("--offload-rules", "offload", type=click.Choice(["off", "mark", "drop"]), default="off", show_default=True, help="What ports do with the rules, as far as they can: look them up and mark frames, or also drop what rules drop.")
@click.option("--clock", type=click.Choice(["live", "virtual"]), default="live", show_default=True, help="Time of arrival: the core's counter, or the time stamps of a net_pcap port.")
@click.option("--seconds", type=click.FloatRange(0.001), help="How long to run.  [default: until SIGINT or SIGTERM]")
@click.option("--trace", is_flag=True, help="Write a row for every packet to trace.h5 in the run's folder, as far as the disk keeps up.")
@click.option("--control", "control_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Who may control the device from outside, and where it listens: see bindings/control/README.md.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run.  [default: runs/nic-<scenario>-<time>]")
@JSON_OPTION
@click.pass_obj
def nic(
    eal: list[str], scenario: str, overrides: tuple[str, ...], arm: str, workers: int, uplink: str, mirror: str, switching: str,
    mtu: int | None, offload: str, clock: str, seconds: float | None, trace: bool, control_file: Path | None, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Switch live traffic between all ports of DPDK, every packet decided by SCENARIO's host, device and rules.

    What follows -- goes to DPDK's EAL, e.g. --no-huge -m 512 --no-pci --vdev=net_af_packet0,iface=eth1. On SIGHUP
    the scenario is read again and its rules, tag rules and meters take effect between two bursts; with --control they
    are the controllers' to change.
    """
    from foreflow.live import nic as live

    options = ["--workers", str(workers), "--uplink", uplink, "--mirror", mirror, "--switch", switching, "--clock", clock, "--offload-rules", offload]
    options += ["--mtu", str(mtu)] * (mtu is not None) + ["--seconds", str(seconds)] * (seconds is not None)
    options += ["--json"] * as_json
    wanted = live.Nic(scenario, list(overrides), arm, (out or live.new_folder(scenario)).absolute(), control_file)
    options += ["--trace", str(wanted.out / "trace.h5")] * trace
    sys.exit(live.run(wanted, options, eal))


def _pair_options(function: Any) -> Any:
    """What every program between two ports takes."""
    for option in (
        JSON_OPTION,
        click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run.  [default: runs/<what>-<file>-<time>]"),
        click.option("--seconds", type=click.FloatRange(0.001), help="How long to run.  [default: until SIGINT or SIGTERM]"),
        click.option("--mtu", type=click.IntRange(68, 65000), help="Of both ports, in bytes.  [default: as they have it]"),
    ):
        function = option(function)
    return function


def _pair_words(mtu: int | None, seconds: float | None, as_json: bool) -> list[str]:
    return ["--mtu", str(mtu)] * (mtu is not None) + ["--seconds", str(seconds)] * (seconds is not None) + ["--json"] * as_json


@commands.command(cls=_BeforeEalArguments)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), help="Of what happens by chance.  [default: FILE's, or 1]")
@_pair_options
@click.pass_obj
def impair(eal: list[str], file: Path, seed: int | None, mtu: int | None, seconds: float | None, out: Path | None, as_json: bool) -> None:
    """Lose, delay, reorder, repeat and change what passes between two ports of DPDK, as FILE says (YAML).

    FILE has `there` for what port 0 receives and `back` for port 1: see bindings/dpdk/README.md. What follows -- goes to
    DPDK's EAL.
    """
    from foreflow.live import pair

    sys.exit(pair.impair(file, seed, out, _pair_words(mtu, seconds, as_json), eal))


@commands.command(cls=_BeforeEalArguments)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--key-log", type=click.Path(path_type=Path, dir_okay=False), help="Append the unit's keys to this file, for ./foreflow dissect: who has it reads everything.")
@click.option("--trace", is_flag=True, help="Write a row for every message that it opens to trace.h5 in the run's folder, as far as the disk keeps up.")
@_pair_options
@click.pass_obj
def unit(
    eal: list[str], file: Path, key_log: Path | None, trace: bool, mtu: int | None, seconds: float | None, out: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Be the packet dynamics unit between the host at DPDK's first port and the network at its second.

    Frames of the host go to another such unit in sealed UDP datagrams, and come out there. FILE (YAML) says where it is
    and whose keys to use: see bindings/dpdk/README.md. What follows -- goes to DPDK's EAL.
    """
    from foreflow.live import pair

    sys.exit(pair.unit(file, key_log, trace, out, _pair_words(mtu, seconds, as_json), eal))


@commands.group()
def control() -> None:
    """Control a device that ./foreflow nic --control serves, over a secure channel."""


@control.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def keygen(file: Path) -> None:
    """Write a new secret key to FILE and its public key to FILE.pub, and print the latter."""
    from foreflow.live import control as controlling

    print(controlling.generate(file).hex())


def _device_options(function: Any) -> Any:
    """What names a device, us, and the way between."""
    for option in (
        click.option("--timeout", type=click.FloatRange(0.1, 3600), default=10, show_default=True, metavar="SECONDS", help="How long to wait for the device."),
        click.option("--tcp", is_flag=True, help="Over TCP instead of UDP."),
        click.option("--device", required=True, metavar="KEY|FILE", help="The device's public key, or its file."),
        click.option("--key", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Our secret key's file."),
        click.argument("address", metavar="HOST:PORT"),
    ):
        function = option(function)
    return function


@contextlib.contextmanager
def _controlled(address: str, key: Path, device: str, tcp: bool, timeout: float) -> Iterator[Any]:
    from foreflow.live import control as controlling

    secret, public = controlling.load_secret(key), controlling.load_public(device)
    with controlling.Client(address, secret, public, transport="tcp" if tcp else "udp") as client:
        client.connect(timeout)
        yield client


@control.command("rules")
@_device_options
@click.argument("ruleset", metavar="RULESET")
@JSON_OPTION
def control_rules(address: str, key: Path, device: str, tcp: bool, timeout: float, ruleset: str, as_json: bool) -> None:
    """Give the device the standard rules of RULESET (a name of scenarios/rules, or a file), all or none of them."""
    from foreflow import config as configuration

    wanted = configuration.load_rules(ruleset, Path())
    if wanted["tag_rules"] or wanted["meters"]:
        print("foreflow: tag rules and meters are the device's configuration; they are not sent", file=sys.stderr)
    with _controlled(address, key, device, tcp, timeout) as client:
        client.set_rules(wanted["rules"], ruleset)
        generation = client.wait_in_force(timeout)
        document = {"generation": generation, "rules": client.rules, **client.counts}
    if as_json:
        print_json(document)
    else:
        print(f"generation {generation}: {document['rules']} rules are in force")


@control.command("rotate")
@_device_options
@click.option("--epoch", type=click.IntRange(1), required=True, help="Later than every one before.")
@click.option("--overlap", type=click.FloatRange(0, 3600), default=1, show_default=True, metavar="SECONDS", help="How long the key before is still good.")
@click.option("--tag-key", type=click.Path(path_type=Path, dir_okay=False), help="File with the new key, 32 hex digits.  [default: a random one]")
def control_rotate(address: str, key: Path, device: str, tcp: bool, timeout: float, epoch: int, overlap: float, tag_key: Path | None) -> None:
    """Have tags sealed with another key from now on."""
    from foreflow.live import control as controlling

    new = controlling.load_tag_key(tag_key) if tag_key else secrets.token_bytes(16)
    with _controlled(address, key, device, tcp, timeout) as client:
        client.rotate_keys(epoch, new, overlap, timeout)
    print(f"epoch {epoch} is in use")


@control.command("stats")
@_device_options
@click.option("--rules", "by", flag_value="rule", help="Packets and bytes by rule.")
@click.option("--tag-rules", "by", flag_value="tag rule", help="Packets and bytes by the tag rule that chose for them.")
@click.option("--tag-classes", "by", flag_value="tag class", help="Packets by the type that their tag says, and whether the tag is valid.")
@JSON_OPTION
def control_stats(address: str, key: Path, device: str, tcp: bool, timeout: float, by: str | None, as_json: bool) -> None:
    """Print what the device has counted."""
    by_rule = by in ("rule", "tag rule")
    with _controlled(address, key, device, tcp, timeout) as client:
        if by_rule:
            rows = client.rule_statistics(timeout) if by == "rule" else client.tag_rule_statistics(timeout)
            found: dict[str, Any] = {str(rule): {"packets": n, "bytes": size} for rule, (n, size) in rows.items()}
        else:
            found = client.tag_class_statistics(timeout) if by else client.statistics(timeout)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if by_rule:
            print(f"{by} {name:>10}  packets {value['packets']:>12}  bytes {value['bytes']:>15}")
        elif value:
            print(f"{name:<32} {value:>14}")


@control.command("profile")
@_device_options
@click.argument("vm", type=click.IntRange(1, 65535))
@JSON_OPTION
def control_profile(address: str, key: Path, device: str, tcp: bool, timeout: float, vm: int, as_json: bool) -> None:
    """Print what the device's host expects of a VM: where it turns next, how surely and how soon, and what it sends."""
    with _controlled(address, key, device, tcp, timeout) as client:
        rows = client.profile(vm, timeout)
    if as_json:
        print_json({"vm": vm, "rows": rows})
        return
    for row in rows:
        within = "" if row["horizon_s"] is None else f"  within {row['horizon_s']:.6f} s"
        kind = "" if row["type"] is None else f"  {row['type']} {row['type_confidence']:.2f}"
        print(f"{row['confidence']:.2f}  protocol {row['protocol']:>3}  {row['destination']} port {row['destination_port']}{within}{kind}")


@control.command("tell")
@_device_options
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def control_tell(address: str, key: Path, device: str, tcp: bool, timeout: float, file: Path) -> None:
    """Tell the device what to expect of a VM: FILE holds what `control profile --json` prints."""
    from foreflow import config as configuration

    document = configuration.load_yaml(file)
    if not isinstance(document, dict) or set(document) != {"vm", "rows"} or not isinstance(document["vm"], int) or not isinstance(document["rows"], list):
        raise Refused(f"{file}: allowed is a mapping of vm (a number) and rows (a list), as ./foreflow control profile --json prints")
    with _controlled(address, key, device, tcp, timeout) as client:
        client.tell_profile(document["vm"], document["rows"], timeout)
    print(f"vm {document['vm']}: {len(document['rows'])} rows told")


@control.command("watch")
@_device_options
@click.argument("ruleset", metavar="RULESET")
@click.option("--interval", type=click.FloatRange(0.01, 60), default=1, show_default=True, metavar="SECONDS", help="How often the file is looked at.")
def control_watch(address: str, key: Path, device: str, tcp: bool, timeout: float, ruleset: str, interval: float) -> None:
    """Keep the device at the rules of RULESET until Ctrl-C, however often the file changes and whatever restarts."""
    from foreflow.live import control as controlling

    with _controlled(address, key, device, tcp, timeout) as client:
        controlling.watch(client, ruleset, interval)


@commands.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@JSON_OPTION
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Say whether the runs A and B decided every packet alike, or what the first is that they did not.

    A and B are folders of replay --out (any door), or of one arm and seed of run. Exit code 0: no difference,
    1: the first differing packet was printed with every input of its decision; between packet dynamics units (section
    shard), with all that happened to it and the first event that is not in both.
    """
    from foreflow.traces import diff as comparison
    from foreflow.traces.kept import open_run

    document = comparison.compare(open_run(a.absolute()), open_run(b.absolute()))
    if as_json:
        print_json(document)
    else:
        print(comparison.text_of(document))
    sys.exit(0 if document["same"] else 1)


@commands.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--packet", type=click.IntRange(0), required=True, metavar="N", help="Which, in order of arrival, from 0.")
@JSON_OPTION
def explain(folder: Path, packet: int, as_json: bool) -> None:
    """Print one packet's way through RUN: every stage, the rule, the prediction, the work and the time.

    RUN is a folder of replay --out (any door), or of one arm and seed of run. The packet is decided again, and that is
    compared with what the run recorded. Exit code 1: it differs.

    Between packet dynamics units (section shard): into which datagrams it was cut, what became of each, what was asked
    for and sent again, when it was whole.
    """
    from foreflow.traces import explain as explanation
    from foreflow.traces.kept import open_run

    document = explanation.document_of(open_run(folder.absolute()), packet)
    if as_json:
        print_json(document)
    else:
        print(explanation.text_of(document))
    if document["check"]:
        raise Failed(f"{folder}: packet {packet} is not decided again as recorded, see check above")


@commands.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--flow", required=True, metavar="KEY", help="As in 10.0.0.1:1234>10.0.0.2:80/tcp@3; IPv6 addresses in brackets; ports, protocol and @VM may be left out.")
@JSON_OPTION
def why(folder: Path, flow: str, as_json: bool) -> None:
    """Say why a flow of RUN is or is not on the fast path: every decision on it, with its reason in words.

    RUN is a folder of replay --out (any door), or of one arm and seed of run. Decisions come from its trace; at each
    change they are made again, to tell what the device held and which prediction, gate or eviction stood behind it.
    Between packet dynamics units (section shard): which of its packets came out, at once or after what.
    """
    from foreflow.traces import why as reasons
    from foreflow.traces.kept import open_run

    document = reasons.document_of(open_run(folder.absolute()), flow)
    if as_json:
        print_json(document)
    else:
        print(reasons.text_of(document))


@commands.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The profile.  [default: runs/profiles/<CPU>.json]")
@click.option("--seconds", type=click.FloatRange(1, 86400), default=100, show_default=True, help="Time to measure for.")
@click.option("--quick", is_flag=True, help="A few configurations, for a look: the intervals are wide.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the configurations, their traffic and their order.")
@JSON_OPTION
def calibrate(out: Path | None, seconds: float, quick: bool, seed: int, as_json: bool) -> None:
    """Measure on this machine what the cores' work costs, and write a profile that scenarios can name.

    The machine should do nothing else meanwhile.
    """
    from foreflow.machine import calibration

    profile, path = calibration.calibrate(out, seconds, quick, seed)
    if as_json:
        print_json(profile)
    else:
        print(calibration.text_of(profile, path))


@commands.command()
@click.option("--profile", metavar="NAME|FILE", help="Of the host core.  [default: what calibrate wrote on this machine]")
@click.option("--quick", is_flag=True, help="Two cases, few packets, one pass: a look, not a result.")
@click.option("--into", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Replace the table in this file, between its marks.")
@JSON_OPTION
def validate(profile: str | None, quick: bool, into: Path | None, as_json: bool) -> None:
    """Compare what the simulator predicts with a calibrated profile with what the runner measures here.

    Captures and configurations are others than those of the calibration. The machine's speed at the time is read with a
    yardstick around every pass; still, the machine should do nothing else meanwhile.
    """
    from foreflow.machine import validation

    document = validation.validate(profile, quick)
    if into:
        validation.put_into(into, document)
    if as_json:
        print_json(document)
    else:
        print(validation.text_of(document))
        print(f"\nFigure   {document['outputs']['figures'][0]}")


@commands.command()
@click.argument("task", metavar="TASK")
@click.option("--data", multiple=True, metavar="NAME|FILE", help="Dataset, capture or input to be judged on; may be repeated.  [default: the captures kept out of training]")
@click.option("--train-data", "training", multiple=True, metavar="NAME|FILE", help="Whose training rows baselines learn from.  [default: --data, or what is trained on]")
@click.option("--models", metavar="MODEL,...", help="Baselines' names and model files.  [default: all baselines, and the committed models]")
@click.option("--target", "targets", multiple=True, metavar="NAME", help="What is to be predicted; may be repeated.  [default: the task's first]")
@click.option("--control", type=click.Choice(["none", "random-labels", "planted-shift", "joined-captures"]), default="none", show_default=True, help="Judge on data whose answer is known.")
@click.option("--profile", default="x86-core", show_default=True, metavar="NAME|FILE", help="Device that prices predictions.")
@click.option("--scored", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Predictions of `foreflow-train --score` to judge beside.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of resamples and of random predictions.")
@click.option("--resamples", type=click.IntRange(100, 100_000), default=1000, show_default=True, help="Of the intervals.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the result.  [default: runs/evaluate-<task>-<hash>]")
@JSON_OPTION
def evaluate(
    task: str, data: tuple[str, ...], training: tuple[str, ...], models: str | None, targets: tuple[str, ...], control: str,
    profile: str, scored: tuple[Path, ...], seed: int, resamples: int, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Judge predictors of TASK: next-type, next-destination, flow-size, fragment-fate or next-packet.

    Every model sees the same rows in order of time. Online learners see earlier rows too; the later slice is scored.
    """
    from foreflow.learning import data as datasets
    from foreflow.learning import evaluation

    if task not in datasets.TASKS:
        raise Refused(f"command line: TASK = {task}; allowed is one of {', '.join(datasets.TASKS)}")
    chosen = models.split(",") if models else []
    wanted = evaluation.Wanted(task, list(data), list(training), chosen, list(targets), control, profile, list(scored), seed, resamples)
    document = evaluation.evaluate(wanted, out)
    if as_json:
        print_json(document)
    else:
        print(evaluation.text_of(document))
        print(f"\nResult   {document['outputs']['folder']}")
        for figure in document["outputs"]["figures"]:
            print(f"Figure   {figure}")


@commands.command()
@click.argument("task")
@click.option("--data", multiple=True, metavar="NAME|FILE", help="A capture, a recording's or source's name, or one dataset file; may be repeated.  [default: what the task is trained on]")
@click.option("--model", "kind", type=click.Choice(["gru", "lstm", "mlp", "automaton", "trees"]), default="gru", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The model file.  [default: runs/models/<task>-<model>.model]")
@click.option("--hidden", type=click.Choice(["16", "32", "64"]), help="Width of the state.  [default: 32]")
@click.option("--bits", type=click.IntRange(0, 20), help="Automaton: of a binary state; 0: clusters of a real one.  [default: 0]")
@click.option("--epochs", type=click.IntRange(1, 100000), help="Passes over the training rows, at most.  [default: 40]")
@click.option("--rate", type=click.FloatRange(1e-7, 1), help="Learning rate, halved after 3 epochs without a better validation loss.  [default: 0.006]")
@click.option("--lanes", type=click.IntRange(1, 4096), help="Sequences learnt side by side: fewer make more and smaller steps a pass.  [default: 128]")
@click.option("--patience", type=click.IntRange(1, 100000), help="Epochs without a better validation loss until it stops.  [default: 6]")
@click.option("--dropout", type=click.FloatRange(0, 0.9), help="Share of the state that the heads miss while they learn.  [default: 0.2]")
@click.option("--control", type=click.Choice(["none", "random-labels"]), default="none", show_default=True, help="Learn from labels permuted within each capture and slice.")
@click.option("--bins", multiple=True, metavar="INPUT=N", help="Automaton: read that input too, in N bins; may be repeated.")
@click.option("--weight", "weights", multiple=True, metavar="TARGET=W", help="Weight of a target's mean loss, otherwise 1; may be repeated.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of a training that was stopped.")
@JSON_OPTION
def train(
    task: str, data: tuple[str, ...], kind: str, out: Path | None, hidden: str | None, bits: int | None, epochs: int | None,
    rate: float | None, lanes: int | None, patience: int | None, dropout: float | None, bins: tuple[str, ...],
    weights: tuple[str, ...], control: str, seed: int, device: str, resume: bool, as_json: bool,
) -> None:  # fmt: skip
    """Learn TASK (next-type, next-destination, flow-size, fragment-fate, next-packet or fragment-loss) and write a model file.

    It stops when the validation rows, later in time, get no better. The same command gives the same bytes on the same machine.
    fragment-loss learns from simulated networks (--data simulator), recorded ones (recording) or both, and from files that
    scenarios/live records; it judges what it learnt on others, and takes --data, --seed, --out and --json alone.
    """
    from foreflow.learning import fragment_loss, training

    if task == fragment_loss.TASK:
        given = click.get_current_context()
        for name in given.params:
            if name not in ("task", "data", "out", "seed", "as_json") and given.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
                raise Refused(f"command line: --{'model' if name == 'kind' else name} is not for {task}; it takes --data, --seed, --out and --json")
        document = fragment_loss.train(seed, out, data)
        if as_json:
            print_json(document)
        else:
            print(fragment_loss.text_of(document))
        return
    wanted = training.Wanted(
        task, data, kind, seed, int(hidden) if hidden else None, bits, epochs, rate, lanes, patience, dropout, bins, weights, control, device, resume
    )
    document = training.train(wanted, out)
    if as_json:
        print_json(document)
    else:
        print(training.text_of(document))


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("capture", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[TSHARK ARGUMENT]...")
@click.option("--keys", type=click.Path(path_type=Path), metavar="FILE", help="Key log: what was sealed is decrypted and put together.")
def dissect(capture: Path, arguments: tuple[str, ...], keys: Path | None) -> None:
    """Read CAPTURE with tshark and the dissector of packet dynamics units: `-V`, `-Y foreflow.shard`, `-T json`, ..."""
    from foreflow.programs import dissect as dissect_capture

    sys.exit(dissect_capture(capture, keys, arguments))


@commands.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@JSON_OPTION
def bench(names: tuple[str, ...], as_json: bool) -> None:
    """Measure the hot parts, ours and a peer's interleaved. NAME keeps those whose name contains it."""
    from foreflow.machine import benchmarks

    found = benchmarks.measure(list(names))
    if as_json:
        print_json(found)
    else:
        print(benchmarks.table_of(found))


@commands.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def test(names: tuple[str, ...]) -> None:
    """Build and run the tests: cores, doors, module, sanitizers, short fuzzing, Python, tools.

    NAME is a suite, or a part of the names of tests.
    """
    from foreflow import testing

    sys.exit(testing.run(list(names)))


@commands.command()
def docs() -> None:
    """Build the book: every README and page, with the C++ and Python reference, into build/docs."""
    from foreflow import book

    print(f"Book     {book.build_book()}")


@commands.command()
@JSON_OPTION
def doctor(as_json: bool) -> None:
    """Say what this machine lacks, and what would make numbers untrue."""
    from foreflow import doctor as examination

    findings = examination.examine()
    if as_json:
        print_json([finding.as_json() for finding in findings])
    else:
        print(examination.text_of(findings))
    if any(finding.state == "bad" for finding in findings):
        raise Failed("this machine lacks something that foreflow needs, see above")


def main() -> None:
    try:
        commands(prog_name="foreflow", standalone_mode=False)
    except Refused as refusal:
        print(f"foreflow: {refusal}", file=sys.stderr)
        sys.exit(2)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.UsageError as error:
        print(f"foreflow: {error.format_message()}", file=sys.stderr)
        sys.exit(2)
    except Failed as failure:
        print(f"foreflow: {failure}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):
        print("foreflow: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
