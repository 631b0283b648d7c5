"""``surrogate optimize``: from a YAML file to strict JSON, and one line for what is wrong."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datagen.deployment import Deployment
from datagen.documents import read_deployment, to_yaml
from datagen.evaluation import pack
from surrogate.__main__ import main
from surrogate.commands.optimize import RULES, SEARCHES, evaluator_named
from surrogate.optimizers import PlacementSpace, proof, reconfiguration
from surrogate.optimizers.baselines import least_loaded_start
from surrogate.optimizers.lookup import LookupTable, scaled
from surrogate.optimizers.rules import RULES as KNOWN_RULES
from tests.report_pages import read
from tests.surrogate.exit_cases import gateway
from tests.surrogate.optimizers.problems import UNIT, poor_start, small_problem


@pytest.fixture(autouse=True)
def _short_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "VERIFICATION_EVENTS", 2e5)
    monkeypatch.setattr(proof, "SELECTION_EVENTS", 3e4)
    monkeypatch.setattr(reconfiguration, "PHASE_REQUESTS", 2e3)


@pytest.fixture
def problem_file(tmp_path: Path) -> Path:
    file = tmp_path / "problem.yaml"
    file.write_text(to_yaml(poor_start(small_problem())))
    return file


def words(problem: Path, *extra: str) -> list[str]:
    return ["optimize", "place", str(problem), "--evaluator", "analytic", *extra]


def test_json_is_one_strict_object(problem_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(problem_file, "--evaluations", "200", "--seed", "4", "--json")) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out, parse_constant=lambda name: pytest.fail(name))
    assert answer["feasible"] is True
    assert answer["violations"] == []
    assert answer["status"] == "evaluation_limit"
    assert answer["evaluations"] == 200
    assert answer["verified"]["loss_ratio"] < answer["start"]["loss_ratio"]
    assert answer["start"]["placement"]["c0"] == ["d3", "d3", "d3"]
    low, high = answer["verified"]["ci95"]
    assert low <= answer["verified"]["loss_ratio"] <= high


def test_the_shipped_example_loses_much_and_can_lose_little(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = repository / "examples" / "cameras.yaml"
    start = PlacementSpace(read_deployment(example))
    assert start.excess(start.start[None])[0] == 0
    assert start.weights.sum() > 0.8 * start.memory.sum()
    assert main(words(example, "--evaluations", "4000", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert 0.05 < answer["start"]["loss_ratio"] < 0.3
    assert answer["verified"]["loss_ratio"] < 0.3 * answer["start"]["loss_ratio"]


def test_a_person_gets_a_few_lines(problem_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(problem_file, "--evaluations", "60", "--seconds", "1e2")) == 0
    text = capsys.readouterr().out
    assert "verified" in text
    assert "60 placements" in text


def test_memory_too_small_is_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tight.yaml"
    file.write_text(to_yaml(small_problem(memory=2 * UNIT)))
    assert main(words(file, "--evaluations", "60", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["feasible"] is False
    assert all(v["needed"] > v["memory"] for v in answer["violations"])
    assert math.isfinite(answer["verified"]["loss_ratio"])
    assert main(words(file, "--evaluations", "60")) == 0
    assert "nothing that keeps this was found" in capsys.readouterr().out


def test_the_simulator_plays_the_same_jobs_for_every_candidate() -> None:
    problem = small_problem(memory=None)
    evaluator = evaluator_named("simulator", problem, 3)
    rows = [poor_start(problem), least_loaded_start(problem)]
    apart = {f"c{c}": (("d0", "d1", "d0"),) for c in range(3)}
    rows.append(Deployment(problem=problem, placement=apart))
    steps = {sum(len(path) for chain in row.steps() for path in chain) for row in rows}
    assert len(steps) > 1, "placements that fuse alike would show nothing"
    batch = pack(rows).with_key(np.zeros(len(rows)))
    offered = evaluator.evaluate(batch).chain["offered"].reshape(len(rows), -1)
    assert (offered == offered[0]).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_searches_and_limits_are_named_by_options(
    problem_file: Path, capsys: pytest.CaptureFixture[str], search: str
) -> None:
    evaluator = "chainnet" if search == "gradient" else "analytic"
    options = (
        "--evaluator",
        evaluator,
        "--search",
        search,
        "--max-latency",
        "1e-3",
        "--evaluations",
        "60",
        "--json",
    )
    assert main(words(problem_file, *options)) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["evaluations"] == 60
    assert answer["feasible"] is False
    assert {violation["chain"] for violation in answer["violations"]} == {"c0", "c1", "c2"}
    assert answer["least_infeasible"] == answer["placement"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--seconds", "0"), "seconds must be finite and > 0, got seconds=0.0."),
        (("--seconds", "-1"), "seconds must be finite and > 0, got seconds=-1.0."),
        (("--seconds", "soon"), "seconds must be a number, got seconds='soon'."),
        (("--seconds", "nan"), "seconds must be finite and > 0, got seconds=nan."),
        (("--evaluations", "0"), "evaluations must be a whole number >= 1, got evaluations=0."),
        (
            ("--seconds", "1", "--max-latency", "0"),
            "max_latency must be finite and > 0, got max_latency=0.0.",
        ),
        ((), "budget must limit seconds or evaluations, got budget=None."),
        (("--seconds", "1", "--seed", "-1"), "seed must be a whole number >= 0, got seed=-1."),
    ],
)
def test_bad_options_are_one_line(
    problem_file: Path,
    capsys: pytest.CaptureFixture[str],
    extra: tuple[str, ...],
    message: str,
) -> None:
    assert main(words(problem_file, *extra)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"surrogate optimize: error: {message}\n"


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("surrogate optimize: error: ")
    return captured.err


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(tmp_path / "nowhere.yaml", "--seconds", "1")) == 2
    assert "nowhere.yaml" in one_error(capsys)


def test_an_unknown_checkpoint_is_named(
    problem_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["optimize", "place", str(problem_file), "--evaluator", "nobody", "--seconds", "1"]
    assert main(given) == 2
    assert "nobody" in one_error(capsys)


def test_a_fragment_that_may_run_nowhere_is_named(
    problem_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = problem_file.read_text()
    problem_file.write_text(text.replace("allowed: [d0, d1, d3]", "allowed: []"))
    assert "allowed: []" in problem_file.read_text()
    assert main(words(problem_file, "--seconds", "1")) == 2
    assert "allowed" in one_error(capsys)


def test_a_report_in_no_folder_is_refused_before_the_search(
    problem_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(problem_file, "--seconds", "60", "--report", "no/where.html")) == 2
    assert "report must lie in a folder that exists" in one_error(capsys)


@pytest.mark.parametrize("json_too", [True, False])
def test_a_report_that_fails_in_the_end_costs_no_result(
    problem_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    json_too: bool,
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("surrogate.report.page.Page.html", full_disk)
    target = ["--report", str(tmp_path / "report.html"), *["--json"] * json_too]
    assert main(words(problem_file, "--evaluations", "60", *target)) == 2
    captured = capsys.readouterr()
    if json_too:
        assert json.loads(captured.out)["evaluations"] == 60
    else:
        assert "60 placements" in captured.out
    assert captured.err.count("\n") == 1
    assert "report must be a file that can be written (no space left" in captured.err


@pytest.mark.parametrize("given", [["conquer"], []])
def test_unknown_commands_are_one_line(
    capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    assert main(given) == 2
    assert "COMMAND must be one of fit, validate" in capsys.readouterr().err


def test_an_unknown_kind_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["optimize", "conquer", "world.yaml", "--evaluator", "analytic"])
    assert stop.value.code == 2
    assert "invalid choice: 'conquer'" in one_error(capsys)


def test_objectives_are_named_by_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = small_problem()
    devices = tuple(replace(device, power=(1.0, 4.0)) for device in problem.devices)
    chains = (replace(problem.chains[0], deadline=0.5), *problem.chains[1:])
    file = tmp_path / "problem.yaml"
    file.write_text(to_yaml(poor_start(replace(problem, devices=devices, chains=chains))))
    for name in ("energy", "deadline"):
        options = ("--evaluator", "simulator", "--objective", name, "--evaluations", "40")
        assert main(words(file, *options, "--json")) == 0
        told = json.loads(capsys.readouterr().out)["objectives"]
        (measure,) = told["verified"]["values"]
        assert told["verified"]["values"][measure] <= told["start"]["values"][measure]
    assert main(words(file, *options)) == 0
    assert "deadlines missed [%]: start" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--objective", "deadline"), "objective must be another where no chain has a deadline"),
        (("--objective", "energy"), "not yet supported by the analytic evaluator: energy"),
        (("--also", "loss"), "objectives must be at least one, with distinct names"),
        (
            ("--also", "latency", "--search", "local"),
            "search must be nsga2 where there is --also, got search='local'.",
        ),
        (("--search", "gradient"), "guide must be a surrogate, whose network has a gradient"),
        (("--evaluations", "0"), "evaluations must"),
        (("--seconds", "0"), "seconds must be finite and > 0"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    problem_file: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    given = options if "--seconds" in options else ("--evaluations", "5", *options)
    assert main(words(problem_file, *given)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_front_from_the_command_line(
    problem_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "front.html"
    front = ("--also", "latency", "--evaluations", "400")
    assert main(words(problem_file, *front, "--json", "--report", str(page))) == 0
    answer = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    points = answer["front"]
    assert len(points) >= 2
    values = [point["predicted"]["values"] for point in points]
    losses, latencies = ([value[name] for value in values] for name in ("loss_ratio", "latency"))
    assert losses == sorted(losses)
    assert latencies == sorted(latencies, reverse=True)
    assert all(point["verified"]["source"] == "simulation" for point in points)
    chosen = [point["placement"] for point in points if point["chosen"]]
    assert chosen in ([], [answer["placement"]])
    assert "figure-4" in read(page).figures
    assert main(words(problem_file, *front)) == 0
    told = capsys.readouterr().out
    assert "loss ratio [%]                mean latency [s]" in told
    assert "mean latency [s]: start" in told


def test_a_person_never_meets_a_negative_throughput(
    problem_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--objective", "throughput", "--evaluations", "60")
    assert main(words(problem_file, *options)) == 0
    told = capsys.readouterr().out
    assert "throughput of all chains [1/s]: start " in told
    assert " -" not in told


def test_thresholds_by_backlog_and_by_arrival_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "problem.yaml"
    file.write_text(to_yaml(gateway()))
    table = tmp_path / "table.json"
    asked = [
        "optimize",
        "thresholds",
        str(file),
        "--evaluator",
        "analytic",
        "--loss-target",
        "0.02",
    ]
    assert main([*asked, "--bands", "3", "--json", "--lookup", str(table)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["feasible"] is True
    assert answer["verified"]["loss_ratio"] <= 0.02
    assert answer["verified"]["accuracy_offered"] > 0.7
    assert len(answer["bands"]) <= 3
    assert len(LookupTable.load(table).factors) == 17


def test_options_of_placement_are_refused_for_thresholds(
    problem_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["optimize", "thresholds", str(problem_file), "--evaluator", "analytic"]
    assert main([*asked, "--max-latency", "1"]) == 2
    assert "max_latency must be absent for thresholds" in capsys.readouterr().err


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_named_like_searches(
    problem_file: Path, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    assert set(RULES) == set(KNOWN_RULES)
    assert main(words(problem_file, "--search", rule, "--evaluations", "40", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == "completed"
    assert answer["feasible"] is True


def test_a_split_cuts_each_chain_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "split.yaml"
    file.write_text(SPLIT)
    options = ("--evaluator", "simulator", "--evaluations", "4", "--json")
    assert main(["optimize", "split", str(file), *options]) == 0
    answer = json.loads(capsys.readouterr().out)
    # A narrow tensor behind the second fragment, a server eight times as fast.
    assert answer["placement"] == {"camera": ["pi", "pi", "server", "server"]}
    assert answer["start"]["placement"] != answer["placement"]


SPLIT = """
devices:
  - {name: pi, speed: 1.0, capacity: 10}
  - {name: server, speed: 8.0, capacity: 50}
links: [{source: pi, target: server, bandwidth: 1e6}]
chains:
  - name: camera
    arrivals: {law: poisson, rate: 0.5}
    fragments:
      - {name: frame, service: {law: deterministic, mean: 0.001}, output: 1e6, allowed: [pi]}
      - {name: front, service: {law: deterministic, mean: 0.2}, output: 1e4}
      - {name: middle, service: {law: deterministic, mean: 0.4}, output: 5e5}
      - {name: back, service: {law: deterministic, mean: 0.3}}
placement: {camera: [pi, pi, pi, pi]}
"""


@pytest.fixture
def running_file(tmp_path: Path) -> Path:
    file = tmp_path / "running.yaml"
    file.write_text(to_yaml(scaled(least_loaded_start(small_problem()), 0.8)))
    return file


def reconfigure_words(running: Path, *extra: str) -> list[str]:
    settings = ("--evaluator", "analytic", "--bandwidth", "1e7", "--loss-target", "0.03")
    limits = ("--evaluations", "4000", "--seed", "2")
    return ["optimize", "reconfigure", str(running), *settings, *limits, *extra]


def test_moves_are_found_for_another_load(
    running_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = tmp_path / "after.yaml"
    after.write_text(to_yaml(scaled(least_loaded_start(small_problem()), 1.2).problem))
    assert main(reconfigure_words(running_file, "--after", str(after), "--json")) == 0
    by_file = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert main(reconfigure_words(running_file, "--factor", "1.5", "--json")) == 0
    by_factor = json.loads(capsys.readouterr().out)
    assert by_file["moves"] == by_factor["moves"] != []
    assert by_file["feasible"] is True
    assert by_file["verified"]["loss_ratio"] <= 0.03 < by_file["start"]["loss_ratio"]
    assert main(reconfigure_words(running_file, "--factor", "1.5")) == 0
    text = capsys.readouterr().out
    assert "target 0.03 kept" in text
    assert "nothing:" in text


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ((), "after must be given, or else factor, got after=None."),
        (("--factor", "0"), "factors must be > 0, got factors=0.0."),
        (
            ("--factor", "2", "--search", "random"),
            "search must be absent for reconfigure, got search='random'.",
        ),
    ],
)
def test_bad_reconfigurations_are_one_line(
    running_file: Path, capsys: pytest.CaptureFixture[str], extra: tuple[str, ...], message: str
) -> None:
    assert main(reconfigure_words(running_file, *extra)) == 2
    assert capsys.readouterr().err == f"surrogate optimize: error: {message}\n"


def test_options_of_other_kinds_are_refused(
    problem_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(problem_file, "--seconds", "1", "--factor", "2")) == 2
    assert "factor must be absent for place, got factor='2'" in capsys.readouterr().err
