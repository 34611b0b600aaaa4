# SPDX-License-Identifier: BSD-3-Clause
"""From a scenario file and key=value overrides to a checked configuration with every default filled in.

The one schema, scenarios/schema/scenario.schema.json, holds keys, units, ranges and defaults; what a schema cannot
say (prefixes, references between lists) is checked here. Everything wrong is a `Refused` before anything runs.
"""

from __future__ import annotations

import copy
import difflib
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from foreflow.errors import Refused
from foreflow.inputs import REQUESTS, sha256_of
from foreflow.judge import systems
from foreflow.places import MEASURED_PROFILES, PROFILES, RULE_SETS, SCENARIOS, SCHEMA, TRAINED

SHORT_NAMES = {
    "load": "traffic.load", "capacity": "device.flow_entries", "predictor": "prediction.predictor",
    "model": "prediction.model", "table": "prediction.table",
}  # fmt: skip
# By predictor, the trained models that it serves: their place in a run's `models`, and the key that names each.
SERVED = {"gru": {"network": "model"}, "tabulated": {"table": "table"}, "tiered": {"table": "table", "network": "model"}}
ARMS = systems.TAG.arms  # of the doors
RULE_SET_SEED = 1
# Keys that name a file: their contents take their place in a configuration, which keeps the names beside.
NAMES = ("ruleset", "prediction.model", "prediction.table")
COMMAND_LINE = "command line"
WAIT_US = 500
LIVE_ARMS = ARMS[:3]  # those that need not know the future


class _Loader(yaml.SafeLoader):
    """YAML 1.2 booleans (`off` is an arm here, not false), no repeated keys."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:bool"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def _mapping_without_repeats(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"key '{key}' is there twice", problem_mark=key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping_without_repeats)


def load_yaml(path: Path) -> Any:
    """The document in `path`; refuses what cannot be read or parsed."""
    try:
        with path.open(encoding="utf-8") as file:
            return yaml.load(file, Loader=_Loader)  # noqa: S506, a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Refused(f"{path}:{line} {error.problem}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Refused(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


@cache
def schema() -> dict[str, Any]:
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


def ruleset_schema() -> dict[str, Any]:
    return {"$defs": schema()["$defs"], **schema()["$defs"]["ruleset"]}


def all_keys() -> list[str]:
    """Every key that an override may name, dotted."""
    keys = []
    for name, part in schema()["properties"].items():
        if name in ("scenario", "about", "shard"):  # shard has no defaults here, and is the doors' to read
            continue
        inner = part.get("properties")
        keys.extend([f"{name}.{key}" for key in inner] if inner else [name])
    return keys


def _dotted(path: list[Any]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else str(step))
    return text


def allowed_by(part: dict[str, Any]) -> str:
    """What a schema part allows, in words."""
    if "$ref" in part:
        part = schema()["$defs"][part["$ref"].rsplit("/", 1)[1]]
    if "enum" in part:
        return "one of " + ", ".join(map(str, part["enum"]))
    if "anyOf" in part:
        if "description" in part:
            return part["description"]
        return " or ".join(allowed_by(option) for option in part["anyOf"])
    if "const" in part:
        return str(part["const"])
    kind = part.get("type", "value")
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        if "exclusiveMinimum" in part:
            return f"{noun} above {part['exclusiveMinimum']} and up to {part['maximum']}"
        return f"{noun} from {part['minimum']} to {part['maximum']}"
    if kind == "array":
        inner = part["items"]
        if part.get("maxItems") == part.get("minItems"):
            return f"{part.get('description', 'a list')}, each {allowed_by(inner)}"
        return f"a list of at least {part.get('minItems', 0)}, each {allowed_by(inner)}" + (
            ", none twice" if part.get("uniqueItems") else ""
        )
    if kind == "string" and "pattern" in part:
        return part.get("description", f"text of the form {part['pattern']}")
    return {"object": "a mapping", "string": "text", "boolean": "true or false", "null": "null"}.get(kind, kind)


def _suggest(key: str, known: list[str]) -> str:
    last = key.rsplit(".", 1)[-1]
    by_last = {name.rsplit(".", 1)[-1]: name for name in known}
    near = difflib.get_close_matches(key, known, 1, 0.75) or [name for name in known if name.startswith(key)][:1] or [
        by_last[name] for name in difflib.get_close_matches(last, list(by_last), 1, 0.6)
    ]
    return f"did you mean {near[0]}?" if near else "known are " + ", ".join(known)


def _sentence(error: jsonschema.ValidationError, source: str) -> str:
    path = list(error.absolute_path)
    where = _dotted(path)
    if error.validator == "additionalProperties":
        unknown = next(key for key in error.instance if key not in error.schema["properties"])
        known = [_dotted([*path, key]) for key in error.schema["properties"]]
        if not where or where in schema()["properties"]:
            known += [key for key in all_keys() if key not in known and "." in key]
        full = _dotted([*path, unknown])
        return f"{source}: unknown key {full}; {_suggest(full, known)}"
    if error.validator == "required":
        absent = next(key for key in error.validator_value if key not in error.instance)
        return f"{source}: key {_dotted([*path, absent])} is missing"
    return f"{source}: {where or 'the document'} = {json.dumps(error.instance, default=str)[:80]}; allowed is {allowed_by(error.schema)}"


class _Validator:
    """Draft 2020-12, but 3.0 is no integer and NaN and infinities are no numbers."""

    def __new__(cls, part: dict[str, Any]) -> Any:
        base = jsonschema.Draft202012Validator

        def finite(_checker: Any, value: Any) -> bool:
            return (
                isinstance(value, (int, float))
                and not isinstance(value, bool)
                and value == value
                and abs(value) != float("inf")
            )

        def whole(_checker: Any, value: Any) -> bool:
            return isinstance(value, int) and not isinstance(value, bool)

        checker = base.TYPE_CHECKER.redefine("number", finite).redefine("integer", whole)
        return jsonschema.validators.extend(base, type_checker=checker)(part)


def validate(document: Any, part: dict[str, Any], source: str) -> None:
    errors = sorted(_Validator(part).iter_errors(document), key=lambda error: (len(error.absolute_path), str(error.path)))
    if errors:
        raise Refused(_sentence(errors[0], source))


def fill(document: Any, part: dict[str, Any]) -> Any:
    """`document` with every default of its schema, in the schema's order of keys."""
    if "$ref" in part:
        part = {**schema()["$defs"][part["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in part.items() if k != "$ref"}}
    if isinstance(document, dict) and "properties" in part:
        filled = {}
        for key, inner in part["properties"].items():
            if key in document:
                filled[key] = fill(document[key], inner)
            elif "default" in inner:
                filled[key] = fill(copy.deepcopy(inner["default"]), inner)
        return filled
    if isinstance(document, list) and isinstance(part.get("items"), dict):
        return [fill(item, part["items"]) for item in document]
    return document


def scenario_file(name: str) -> Path:
    """The file of a scenario given by name, folder or file."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    for folder in (SCENARIOS / name, path):
        if (folder / "scenario.yaml").is_file():
            return folder / "scenario.yaml"
    known = sorted(folder.parent.name for folder in SCENARIOS.glob("*/scenario.yaml"))
    raise Refused(f"no scenario is named '{name}' and no file is there; {_suggest(name, known)}")


def _override_value(key: str, text: str) -> Any:
    if key in ("input", "ruleset", "recovery.table", "tags.master_key", "prediction.model", "prediction.table", "traffic.shift_input"):
        return text
    if key == "arms":
        return text.split(",")
    try:
        return json.loads(text)
    except ValueError:
        return text


def share_or_count(text: str) -> str | int:
    """A capacity as a configuration holds it."""
    if text.endswith("%"):
        return text
    if not text.isdecimal():
        raise Refused(f"command line: device.rules = {text}; allowed is a number of slots, or a share of the rules such as 5%")
    return int(text)


def validate_capacities(capacities: list[str]) -> None:
    """Each as a device.rules of its own."""
    for capacity in capacities:
        validate(apply_overrides({"scenario": "x", "about": "y"}, [f"device.rules={capacity}"]), schema(), "command line")


def full_key(key: str, where: str) -> str:
    """The dotted key that `key`, dotted or a short name, stands for."""
    full = SHORT_NAMES.get(key, key)
    if full not in (known := all_keys()):
        raise Refused(f"{where}: unknown key {key}; {_suggest(key, known)}")
    return full


def _settings(overrides: list[str]) -> list[tuple[str, Any]]:
    """Full keys and values of key=value texts."""
    settings = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise Refused(f"{COMMAND_LINE}: '{override}' is not of the form key=value")
        full = full_key(key, COMMAND_LINE)
        settings.append((full, _override_value(full, text)))
    return settings


def _apply(document: dict[str, Any], settings: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    document = copy.deepcopy(document)
    for key, value in settings:
        *folders, last = key.split(".")
        place = document
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise Refused(f"{where}: {key} is below {folder}, which holds no keys")
        place[last] = value
    return document


def apply_overrides(document: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    return _apply(document, _settings(overrides), COMMAND_LINE)


def _at(document: Mapping[str, Any], key: str) -> Any:
    for step in key.split("."):
        document = document[step]
    return document


@cache
def defaults() -> dict[str, Any]:
    """The default of every key, by its dotted name."""
    filled = fill({}, schema())
    return {key: _at(filled, key) for key in all_keys()}


def parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run of `config` (of `resolve`) has that the defaults have not, by dotted key; arms and seeds are no parameters."""
    names = config.get("names", {})
    values = {}
    for key, default in defaults().items():
        if key in ("arms", "seeds"):
            continue
        try:
            value = names.get(key, default) if key in NAMES else _at(config, key)
        except KeyError:  # what its runs do not read
            continue
        if value != default:
            values[key] = value
    return values


def _check_changes(rules: dict[str, Any], source: str) -> None:
    changes = len(rules["changes"])
    for position, rule in enumerate(rules["tag_rules"]):
        if "change" in rule["action"]:
            raise Refused(f"{source}: tag_rules[{position}].action.change = {rule['action']['change']}; allowed is none, since a prediction changes no packet")
    for position, rule in enumerate(rules["rules"]):
        change = rule["action"].get("change")
        if change is not None and change >= changes:
            allowed = f"0 to {changes - 1}" if changes else "none, since there are no changes"
            raise Refused(f"{source}: rules[{position}].action.change = {change}; allowed is {allowed}")
    for position, change in enumerate(rules["changes"]):
        for where, part in ((f"changes[{position}]", change), (f"changes[{position}].tunnel", change.get("tunnel", {}))):
            families = set()
            for end in ("source", "destination"):
                if end not in part:
                    continue
                try:
                    families.add(ipaddress.ip_address(part[end]).version)
                except ValueError:
                    raise Refused(f"{source}: {where}.{end} = {part[end]}; allowed is an IPv4 or IPv6 address") from None
            if len(families) > 1:
                raise Refused(f"{source}: {where}.destination = {part['destination']}; allowed is an address of the source's family")
        if families == {6} and change["tunnel"]["mtu"] < 1280:
            raise Refused(f"{source}: changes[{position}].tunnel.mtu = {change['tunnel']['mtu']}; allowed over IPv6 is 1280 to 65535")


def _check_rules(rules: dict[str, Any], source: str) -> None:
    for name in ("rules", "tag_rules"):
        ids = [rule["id"] for rule in rules[name]]
        for position, rule_id in enumerate(ids):
            if rule_id in ids[:position]:
                raise Refused(f"{source}: {name}[{position}].id = {rule_id} is used twice; ids are unique")
    meters = len(rules["meters"])
    for name in ("rules", "tag_rules"):
        for position, rule in enumerate(rules[name]):
            meter = rule["action"]["meter"]
            if meter is not None and meter >= meters:
                allowed = f"0 to {meters - 1}" if meters else "none, since there are no meters"
                raise Refused(f"{source}: {name}[{position}].action.meter = {meter}; allowed is {allowed}")
    _check_changes(rules, source)
    for position, rule in enumerate(rules["rules"]):
        families = set()
        for end in ("source", "destination"):
            if rule[end] == "any":
                continue
            key = f"{source}: rules[{position}].{end} = {rule[end]}"
            try:
                network = ipaddress.ip_network(rule[end])
            except ValueError:
                raise Refused(f"{key}; allowed is any, or a prefix without host bits such as 10.0.0.0/8") from None
            if rule["l3"] not in ("any", f"ipv{network.version}") and (rule["l3"], network.version) != ("arp", 4):
                raise Refused(f"{key}; allowed with l3 = {rule['l3']} is a prefix of that family")
            families.add(network.version)
        if len(families) > 1:
            raise Refused(f"{source}: rules[{position}].destination = {rule['destination']}; allowed is the source's family")
        if rule.get("vlan") == "none" and rule.get("vlan_priority", "any") != "any":
            raise Refused(f"{source}: rules[{position}].vlan_priority = {rule['vlan_priority']}; allowed with vlan = none is any")
        for end in ("source_port", "destination_port"):
            low, high = rule[end]
            if low > high:
                raise Refused(f"{source}: rules[{position}].{end} = [{low}, {high}]; the lower port comes first")
    for position, meter in enumerate(rules["meters"]):
        for kind in ("mbps", "kb"):
            if meter[f"peak_{kind}"] < meter[f"committed_{kind}"]:
                raise Refused(
                    f"{source}: meters[{position}].peak_{kind} = {meter[f'peak_{kind}']};"
                    f" allowed is committed_{kind} ({meter[f'committed_{kind}']}) or more"
                )


def _without_comments(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in item.items() if key != "about"} for item in items]


def _filters(path: Path) -> dict[str, Any]:
    """A file of filters, for the doors to read (bindings/config/classbench.h); in place of a list of rules."""
    return {"rules": str(path.resolve()), "tag_rules": [], "meters": [], "changes": []}


def _made_filters(name: str) -> Path:
    """The file of the generated filter set `name`, made where it is not there yet."""
    from datasets.generate import classbench

    path = RULE_SETS / f"{name}.rules"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}")
        classbench.write_filters(half, classbench.rule_set(name, RULE_SET_SEED))
        half.rename(path)
    return path


def load_rules(name: str, beside: Path) -> dict[str, Any]:
    """The rule set of a name: in scenarios/rules, a generated one (acl1k to ipc100k), or of a path (relative to the
    scenario's folder, or the cwd), a rule set as those in scenarios/rules or a file of filters in ClassBench's form.
    """
    from datasets.generate import classbench

    if name in classbench.NAMES:
        return _filters(_made_filters(name))
    candidates = [SCENARIOS / "rules" / f"{name}.yaml", beside / name, Path(name)]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        known = sorted(file.stem for file in (SCENARIOS / "rules").glob("*.yaml")) + list(classbench.NAMES)
        raise Refused(f"ruleset = {name}: no such rule set and no such file; {_suggest(name, known)}")
    with path.open("rb") as file:
        if file.read(256).lstrip().startswith(b"@"):
            return _filters(path)
    stat = path.stat()
    return copy.deepcopy(_ruleset_in(path, stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=16)
def _ruleset_in(path: Path, _changed_ns: int, _size: int) -> dict[str, Any]:
    """Kept, since a sweep resolves the same rules for each of its points."""
    return _complete_ruleset(load_yaml(path), str(path))


def _complete_ruleset(document: Any, source: str, check: bool = True) -> dict[str, Any]:
    validate(document, ruleset_schema(), source)
    filled = fill(document, ruleset_schema())
    for name in ("rules", "tag_rules"):
        for rule in filled[name]:
            rule["action"] = fill(rule["action"], schema()["$defs"]["action"])
    if check:
        _check_rules(filled, source)
    return {name: _without_comments(filled[name]) for name in ("rules", "tag_rules", "meters", "changes")}


def complete_rules(rules: list[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    """Standard rules with every default filled in. Meters are another's to know, and so is what else a schema cannot say."""
    return _complete_ruleset({"rules": rules}, source, check=False)["rules"]


def profile_file(name: str) -> Path | None:
    """The hardware profile of a name in hw-models/profiles or runs/profiles, or of a path that ends in .json."""
    candidates = [PROFILES / f"{name}.json", MEASURED_PROFILES / f"{name}.json"]
    if name.endswith(".json"):
        candidates = [Path(name)]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def load_profiles(config: dict[str, Any], source: str, overridden: set[str], overrides_from: str = COMMAND_LINE) -> dict[str, Any]:
    """The contents of the hardware profiles that the configuration names."""
    profiles = {}
    known = sorted(path.stem for folder in (PROFILES, MEASURED_PROFILES) for path in folder.glob("*.json"))
    for key in ("host.profile", "host.bus", "device.profile"):
        room, name = key.split(".")
        value = config[room][name]
        where = overrides_from if key in overridden else source
        path = profile_file(value)
        if path is None and value.endswith(".json"):
            raise Refused(f"{where}: {key} = {value}: no such file; `./foreflow calibrate --out FILE` writes one")
        if path is None:
            raise Refused(f"{where}: {key} = {value}: no such file in {PROFILES} or {MEASURED_PROFILES}; {_suggest(value, known)}")
        try:
            profiles[value] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Refused(f"{path}: {error}") from None
        kind = "bus" if name == "bus" else "device"
        if not isinstance(profiles[value], dict) or profiles[value].get("kind") != kind:
            raise Refused(f"{where}: {key} = {value}; allowed is a profile of kind {kind}")
    return profiles


def load_models(prediction: dict[str, Any], source: str, overridden: set[str], overrides_from: str = COMMAND_LINE) -> dict[str, Any]:
    """The files, with their SHA-256, of the trained models that the predictor serves; takes their names out of `prediction`."""
    named = {key: prediction.pop(key) for key in ("model", "table")}
    models: dict[str, Any] = {"table": None, "network": None}
    for place, key in SERVED.get(prediction["predictor"], {}).items():
        where = overrides_from if f"prediction.{key}" in overridden else source
        name = named[key]
        path = Path(name) if name.endswith(".model") else TRAINED / f"{name}.model"
        if not path.is_file():
            known = sorted(file.stem for file in TRAINED.glob("next-type-*.model"))
            hint = _suggest(name, known) if known else "`./foreflow train next-type` makes one"
            raise Refused(f"{where}: prediction.{key} = {name}: no such file{'' if name.endswith('.model') else f' in {TRAINED}'}; {hint}")
        models[place] = {"file": str(path.resolve()), "sha256": sha256_of(path.resolve())}
    return models


def loss_table(name: str) -> dict[str, str] | None:
    """The file, with its SHA-256, of the table that a loss predictor begins with."""
    if name == "none":
        return None
    path = Path(name) if name.endswith(".table") else TRAINED / f"{name}.table"
    if not path.is_file():
        raise Refused(f"recovery.table = {name}: no such file{'' if name.endswith('.table') else f' in {TRAINED}'}; `./foreflow train fragment-loss` makes one, and none does without")
    return {"file": str(path.resolve()), "sha256": sha256_of(path.resolve())}


def _check_system(config: dict[str, Any], where: str) -> None:
    system = systems.of(config)
    if others := [arm for arm in config["arms"] if arm not in system.arms]:
        raise Refused(f"{where}: arms = {others[0]}; allowed with system = {system.name} are {', '.join(system.arms)}")
    if system is not systems.SHARD and REQUESTS in (config["input"], config["traffic"]["shift_input"]):
        raise Refused(f"{where}: input = {REQUESTS}; allowed with system = {system.name} is a capture, since requests are for system shard")


def _check_control(config: dict[str, Any], where: str) -> None:
    updates = config["control"]["updates_per_second"]
    if updates == 0:
        return
    if set(config["arms"]) - set(LIVE_ARMS):
        raise Refused(f"{where}: control.updates_per_second = {updates}; allowed is 0 in the arms oracle and anti_oracle; give --arms {','.join(LIVE_ARMS)}")
    if config["device"]["rules"] != 0:
        raise Refused(f"{where}: control.updates_per_second = {updates}; allowed is 0 where device.rules gives the device a table of some of its rules")


def resolve(scenario: str, overrides: list[str] | Mapping[str, Any], overrides_from: str = COMMAND_LINE) -> dict[str, Any]:
    """Scenario `scenario` with overrides and defaults, rules and profiles filled in; checked in full.

    `overrides` are texts of the form key=value, or values by key; refusals name `overrides_from` as their place. Beside the
    schema's keys (less `ruleset` and the models' names, which `names` keeps), the result has `rules`, `tag_rules`, `meters`,
    `changes`, `models` and `hw`.
    """
    path = scenario_file(scenario)
    document = load_yaml(path)
    if not isinstance(document, dict):
        raise Refused(f"{path}: a scenario is a mapping of keys to values")
    validate(document, schema(), str(path))
    if isinstance(overrides, Mapping):
        settings = [(full_key(key, overrides_from), value) for key, value in overrides.items()]
    else:
        settings = _settings(overrides)
    validate(overridden := _apply(document, settings, overrides_from), schema(), overrides_from if settings else str(path))
    config = fill(overridden, schema())
    if config["device"]["flow_entries"] == 0 and config["device"]["rules"] == 0:
        where = overrides_from if ("device.flow_entries", 0) in settings else str(path)
        raise Refused(f"{where}: device.flow_entries = 0; allowed is 1 to 16777216 or a share above 0%, or 0 where device.rules gives the device a rule table")
    _check_system(config, overrides_from if settings else str(path))
    _check_control(config, overrides_from if settings else str(path))
    if config["system"] == systems.SHARD.name:
        loss_table(config["recovery"]["table"])
    names = {key: _at(config, key) for key in NAMES}
    rules = load_rules(config.pop("ruleset"), path.parent)
    named = {key for key, _ in settings}
    models = load_models(config["prediction"], str(path), named, overrides_from)
    profiles = load_profiles(config, str(path), named, overrides_from)
    return {**config, "names": names, **rules, "models": models, "hw": profiles}


def resolved_for_run(
    config: dict[str, Any], arm: str, seed: int, capture: Path, out: Path, shift: Path | None = None
) -> dict[str, Any]:
    """What one process of the simulator reads; `shift`: the capture of traffic.shift_input.

    device.residency = best and recovery.wait_us = best are what several runs find out; one alone takes lru and WAIT_US.
    """
    resolved = {
        "scenario": config["scenario"],
        "arm": arm,
        "seed": seed,
        "input": str(capture),
        "out": str(out),
        **{section: config[section] for section in systems.of(config).sections},
        **({"shard": config["shard"]} if "shard" in config else {}),
        "traffic": {**config["traffic"], "shift_input": None if shift is None else str(shift)},
    }
    keys = systems.of(config).keys
    if keys:
        resolved |= {section: {key: config[section][key] for key in names} for section, names in keys.items()}
        resolved["hw"] = {name: config["hw"][name] for section in keys for name in resolved[section].values()}
    if "recovery" in resolved:
        wait = config["recovery"]["wait_us"] if arm == "fixed" else "best"  # what the others do not look at makes them no other runs
        table = config["recovery"]["table"] if arm.startswith("learned") else "none"
        resolved["recovery"] = {**config["recovery"], "wait_us": WAIT_US if wait == "best" else wait, "table": loss_table(table)}
    if "device" in systems.of(config).sections:
        resolved["device"] = {**config["device"], "residency": "lru" if config["device"]["residency"] == "best" else config["device"]["residency"]}
    return resolved
