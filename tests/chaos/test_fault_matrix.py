"""Each call that a worker makes, and everything that can go wrong with it: the promises hold, and the target rests.

The calls are found by running clean scenarios and noting which line of the worker makes which request; a call in the
worker's source that no scenario comes to fails the build, because it would have no row here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from threading import Event

import pytest

from tests.chaos.faults import HARD, Fault, faults_of, refuse
from tests.chaos.shop import LOGGED, open_shop
from tests.chaos.sites import Notes, Site, in_the_code
from worker.sandbox.simulator.behaviour import Behaviour
from worker.selftest import actions
from worker.selftest.checker import BrokenPromise, unrest
from worker.selftest.evidence import Json
from worker.selftest.script import Exchange, Moment, Rule, Seen, Step
from worker.selftest.stand import Bench, Pace, Stand

LANES = 8
PARTS = 3
PACE = Pace(grace="30s", tick="1s", lease="3s", audit_every="1s", verify_within="20s", dead_within="60s")
NUMBERS = count(1)

CREATE = Step("hostup", "POST", "/api/object-storage/keys", 1)
APP = Step("vault", "POST", "/v1/secret/data/{trial}/app", 1)
ROLL = Step("hostup", "POST", "/api/keys/{key_id}/roll", 1)
DELETE = Step("hostup", "DELETE", "/api/object-storage/keys/{key}", 1)

ELSEWHERE = {
    Site("records.archived_texts", "vault.list"): "reads what was archived, for `rotator history` and `rotator trace`",
    Site("records.settle_rescued", "vault.write"): "for `rotator repair`",
    Site("copy_access.published_of", "vault.read"): "of targets that left the configuration; their own tests do it",
    Site("claiming._may_hold", "vault.read"): "beside a record that cannot be read; tests/unit/rotation/test_claims.py",
    Site("claims.names", "vault.list"): "for `rotator audit` and `rotator repair`, which look for keys on no record",
    Site("claims.living", "vault.read"): "the same",
    Site("fresh.see_that_it_is_new", "vault.read_version"): "of a new target whose secret somebody deleted",
    Site("pages._see_that_it_may_work", "vault.token_ends_in"): "calls nothing; tests/integration/test_pages.py",
    Site("shared._account", "hostup.api_key_path"): "a setting; tests/integration/test_metrics.py",
    Site("observe.life_of", "storage.lives"): "after Vault was set back; tests/integration/test_lost_keys.py",
    Site("endpoint.accept", "vault.read"): "for `rotator accept-endpoint`",
    Site("retire._share_a_gateway", "storage.endpoint"): "with a second account; tests/unit/rotation/test_accounts.py",
    Site("rollback._old_secret", "storage.works"): "for `rotator rollback`, which test_killed_by_operators.py kills",
    Site("rollback._old_secret", "vault.read_version"): "the same",
    Site("rollback.rollback_of", "storage.see_that_it_can_be_asked"): "the same",
    Site("copies.destroy_rolled_back", "vault.read_version"): "after a rollback; its unit tests have it fail",
    Site("copies.destroy_rolled_back", "vault.destroy"): "the same",
    Site("tend.settle", "hostup.prove"): "for `rotator roll-api-key --settle`; test_api_key_roll.py",
    Site("store.anew", "vault.read"): "the same, where the record of the API key cannot be read",
    Site("worker._rebuild", "vault.health"): "asks for the time at a start; the first tick says what is wrong",
    Site("worker.serve", "vault.keep_alive"): "renews the token; tests/contract/vault",
    Site("pages.own_samples", "vault.token_ends_in"): "for metrics; calls nothing",
}
"""Calls that are no step of a rotation, a retirement or the audit; what is named here in vain fails the build, too."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way through the worker; what ``prepare`` sets up leads it to calls that the plain way does not come to.

    ``tend`` is what an operator, or a stranger, does between two looks; ``ready``: when a rotation is asked for.
    ``excuses`` says of a finding that it is about what the scenario took away: then nobody can know better.
    """

    name: str
    prepare: Callable[[Stand], None] = lambda _: None
    tend: Callable[[Stand], None] = lambda _: None
    behaviour: Behaviour | None = None
    may_lose: bool = False
    pace: Pace = PACE
    ready: Callable[[Stand], bool] = lambda _: True
    excuses: Callable[[Stand, BrokenPromise], bool] = lambda _stand, _finding: False


def _lose_create(stand: Stand) -> None:
    stand.script.add(Rule.at(CREATE, Moment.AFTER, actions.cut()))


def _lose_publish(stand: Stand) -> None:
    stand.script.add(Rule.at(APP, Moment.AFTER, actions.cut()))


def _fail_publish(stand: Stand) -> None:
    """Vault is away at the second publish, and at the look after it: another look has to go on with the staged key."""
    stand.script.add(Rule.at(replace(APP, nth=2), Moment.BEFORE, actions.answer(500)))
    stand.script.add(Rule.at(replace(APP, method="GET", nth=3), Moment.BEFORE, actions.answer(500)))


def _publish_twice(stand: Stand) -> None:
    fault = next(fault for fault in faults_of(APP) if fault.name == "another writer was first")
    stand.script.add(fault.rule(stand, APP))


COPY = Step("vault", "POST", "/v1/copies/data/{trial}/copy", 1)


def _publish_copy_twice(stand: Stand) -> None:
    fault = next(fault for fault in faults_of(COPY) if fault.name == "another writer was first")
    stand.script.add(fault.rule(stand, COPY))


def _lose_copy(stand: Stand) -> None:
    stand.script.add(Rule.at(COPY, Moment.AFTER, actions.cut()))


def _stranger_deletes_copy(stand: Stand) -> None:
    if _first_current(stand) and "secret.restored" not in _events(stand):
        stand.mount.vault.ask("DELETE", f"copies/data/{stand.watched.copies[1][2]}")


def _poison_record(stand: Stand) -> None:
    """Garbage takes the record's place while its key is being made; what was there is kept for the operator."""

    def poison(_: Exchange) -> None:
        _write_record(stand, lambda record: {"garbage": record})

    stand.script.add(Rule.at(CREATE, Moment.AFTER, poison))


def _heal_record(stand: Stand) -> None:
    """The operator: once something was rescued, puts the record back."""
    if stand.mount.names(f"{stand.mount.state_path}/_rescued/{stand.watched.name}"):
        _write_record(stand, lambda record: record.get("garbage"))


def _write_record(stand: Stand, change: Callable[[Json], Json | None]) -> None:
    path = f"{stand.mount.mount}/data/{stand.mount.state_path}/{stand.watched.name}"
    there = stand.mount.vault.call("GET", path)["data"]
    changed = change(there["data"])
    if changed is not None:
        stand.mount.vault.call("POST", path, {"data": changed, "options": {"cas": there["metadata"]["version"]}})


def _refuse_base64(stand: Stand) -> None:
    stand.script.add(Rule.at(DELETE, Moment.BEFORE, refuse("hostup", 400)))


WATCHED = replace(PACE, watch_every="1s")


def _events(stand: Stand) -> set[str]:
    record = stand.mount.record(stand.watched.name) or {}
    return {json.loads(entry)["event"] for entry in record.get("history", [])}


def _has(event: str) -> Callable[[Stand], bool]:
    return lambda stand: event in _events(stand)


def _first_current(stand: Stand) -> str | None:
    """The first key, while it is current and at rest."""
    record = stand.mount.record(stand.watched.name) or {}
    first = record.get("current") and not record.get("rotation") and not record.get("trouble")
    return record["current"]["access_key"] if first and record["current"]["vault_version"] == 1 else None


def _stranger_deletes_key(stand: Stand) -> None:
    key = _first_current(stand)
    if key and stand.simulator.admin.keys()[key].exists:
        stand.simulator.admin.remove_key(key)


def _stranger_deletes_secret(stand: Stand) -> None:
    if _first_current(stand) and "secret.restored" not in _events(stand):
        stand.mount.vault.ask("DELETE", f"{stand.mount.mount}/data/{stand.watched.path}")


def _stranger_destroys_secret(stand: Stand) -> None:
    if _first_current(stand):
        stand.mount.vault.call("POST", f"{stand.mount.mount}/destroy/{stand.watched.path}", {"versions": [1]})


def _stranger_forgets_secret(stand: Stand) -> None:
    if _first_current(stand) and "secret.lost" not in _events(stand):
        stand.mount.vault.ask("DELETE", f"{stand.mount.mount}/metadata/{stand.watched.path}")


def _stranger_changes_secret(stand: Stand) -> None:
    """He writes another secret under our own key, and a person puts back what was there once the watch has told.

    His versions go with the key: the worker knows of none.
    """
    mount, path = stand.mount, stand.watched.path
    first, events = mount.data(path, 1), _events(stand)
    newest = mount.metadata(path).get("current_version")
    if first and newest == 1 and _first_current(stand):
        _write_secret(stand, {**first, "secret_key": "another"}, 1)
    elif first and newest == 2 and "conflict.found" in events:
        _write_secret(stand, first, 2)
    elif newest and newest > 3:
        mount.vault.call("POST", f"{mount.mount}/destroy/{path}", {"versions": [2, 3]})


def _write_secret(stand: Stand, content: Json, cas: int) -> None:
    path = f"{stand.mount.mount}/data/{stand.watched.path}"
    stand.mount.vault.ask("POST", path, {"data": content, "options": {"cas": cas}})


class Snapshots:
    """Vault is set back: record and app's secret are what they were before the first key died, by each trial's name.

    What was made since (``lost``) is on no record then. A person deletes it in HostUp's panel, and says that all is
    well (`rotator settle --restored`).
    """

    def __init__(self) -> None:
        self._taken: dict[str, tuple[Json, Json]] = {}
        self._lost: dict[str, Json] = {}

    def tend(self, stand: Stand) -> None:
        record, secret = stand.mount.record(stand.watched.name), stand.mount.data(stand.watched.path)
        taken, lost = self._taken.get(stand.name), self._lost.get(stand.name)
        if taken is None:
            if record and secret and _first_current(stand):
                self._taken[stand.name] = record, secret
                stand.simulator.admin.remove_key(secret["access_key"])
        elif lost is None:
            if secret and secret["access_key"] != taken[1]["access_key"] and unrest(record) == "":
                self._lost[stand.name] = secret
                self._set_back(stand, *taken)
        elif record and record.get("deletes_held"):
            if stand.simulator.admin.keys()[lost["access_key"]].exists:
                stand.simulator.admin.remove_key(lost["access_key"])
            _write_record(stand, lambda known: {**known, "deletes_held": False})

    def excuses(self, stand: Stand, finding: BrokenPromise) -> bool:
        lost = self._lost[stand.name]
        return any(lost[name] in str(finding) for name in ("access_key", "request_id", "rotation_id"))

    def _set_back(self, stand: Stand, record: Json, secret: Json) -> None:
        mount = stand.mount
        for path, content in ((f"{mount.state_path}/{stand.watched.name}", record), (stand.watched.path, secret)):
            mount.vault.call("DELETE", f"{mount.mount}/metadata/{path}")
            if content is record:
                settings = {"max_versions": 1, "cas_required": True}
                mount.vault.call("POST", f"{mount.mount}/metadata/{path}", settings)
            mount.vault.call("POST", f"{mount.mount}/data/{path}", {"data": content, "options": {"cas": 0}})


SNAPSHOTS = Snapshots()

ROLLED = replace(PACE, key_in_vault=True, hostup='api_key_every = "6s"')
BOOTSTRAP = 'api_key_scopes = ["sandbox:keys"]'


def _api_key(stand: Stand) -> Json:
    return stand.mount.record("_api_key") or {}


def _replace_lost_api_key(stand: Stand) -> None:
    """The operator, once he is told: makes another API key in the panel and puts it into Vault."""
    record = _api_key(stand)
    by_itself = "HOSTUP_BOOTSTRAP_KEY" in stand.environment and not record.get("tried_create")
    if record.get("phase") == "lost" and not by_itself:
        stand.put_api_key(stand.simulator.admin.add_api_key("by hand", "sandbox:keys"))


def _lose_roll(stand: Stand) -> None:
    stand.script.add(Rule.at(ROLL, Moment.AFTER, actions.cut()))


AT_REST = frozenset({"idle", "lost"})
"""The phases of an API key in which nothing is in doubt."""


def _garble_roll(stand: Stand) -> None:
    """The key is in an answer of no documented form: it is kept, tried out, and put in its place."""
    stand.script.add(Rule.at(ROLL, Moment.AFTER, actions.change(lambda honest: replace(honest, status=500))))


def _has_tried(stand: Stand) -> bool:
    """A roll has ended well, or is tried again in an hour."""
    ended = {"api_key.rolled", "api_key.failed"}
    return any(json.loads(entry)["event"] in ended for entry in _api_key(stand).get("history", []))


def _of_api_key(stand: Stand) -> Iterator[BrokenPromise]:
    """The key in Vault works, or it is told that it was lost."""
    held = stand.mount.data(stand.key_path) or {}
    works = any(key.works and key.api_key == held.get("api_key") for key in stand.simulator.admin.api_keys())
    if not works and _api_key(stand).get("phase") != "lost":
        yield BrokenPromise(3, "the API key", "was lost, and nobody was told")


SCENARIOS = (
    Scenario("the plain way"),
    Scenario("keys are deleted by their plain name", behaviour=Behaviour(delete_form="plain")),
    Scenario("HostUp answers 400 to a name in base64", _refuse_base64, behaviour=Behaviour(delete_form="plain")),
    Scenario("the answer to a create is lost", _lose_create, may_lose=True),
    Scenario("the answer to a publish is lost", _lose_publish),
    Scenario("another worker publishes first", _publish_twice),
    Scenario("Vault is away while a key is published", _fail_publish),
    Scenario("the gateway refuses every wrong secret", behaviour=Behaviour(blind=True), pace=WATCHED),
    Scenario(
        "a stranger deletes the current key",
        tend=_stranger_deletes_key,
        # a second look, a tick later, is then made before it is the right secret's turn again
        pace=replace(PACE, watch_every="3s"),
        ready=_has("key.died"),
    ),
    Scenario(
        "a stranger deletes the app's secret",
        tend=_stranger_deletes_secret,
        pace=WATCHED,
        ready=_has("secret.restored"),
    ),
    Scenario(
        "a stranger destroys the app's secret",
        tend=_stranger_destroys_secret,
        pace=WATCHED,
        ready=_has("secret.lost"),
    ),
    Scenario(
        "a stranger deletes the app's secret with its metadata",
        tend=_stranger_forgets_secret,
        pace=WATCHED,
        ready=_has("secret.lost"),
    ),
    Scenario(
        "somebody changes the app's secret under our own key",
        tend=_stranger_changes_secret,
        pace=WATCHED,
        ready=_has("target.recovered"),
        excuses=lambda _stand, finding: "nobody knows which key version" in finding.what,
    ),
    Scenario(
        "Vault is set back",
        tend=SNAPSHOTS.tend,
        pace=WATCHED,
        ready=_has("vault.set_back"),
        may_lose=True,
        excuses=SNAPSHOTS.excuses,
    ),
    Scenario(
        "keys go when no app says that it uses them",
        pace=replace(PACE, target='retire = "when-unused"\nretire_cap = "60s"'),
    ),
    Scenario("there are copies", pace=replace(WATCHED, copies=True)),
    Scenario("another worker writes a copy first", _publish_copy_twice, pace=replace(WATCHED, copies=True)),
    Scenario("the answer to the write of a copy is lost", _lose_copy, pace=replace(WATCHED, copies=True)),
    Scenario(
        "a stranger deletes a copy",
        tend=_stranger_deletes_copy,
        pace=replace(WATCHED, copies=True),
        ready=_has("secret.restored"),
    ),
    Scenario("the record becomes garbage", _poison_record, _heal_record, may_lose=True),
    Scenario("the API key is rolled", tend=_replace_lost_api_key, pace=ROLLED, ready=_has_tried),
    Scenario(
        "the answer with the API key is lost",
        _lose_roll,
        pace=replace(ROLLED, hostup=f"{ROLLED.hostup}\n{BOOTSTRAP}", bootstrap=True),
        tend=_replace_lost_api_key,
        ready=_has_tried,
    ),
    Scenario(
        "the answer with the API key is garbled", _garble_roll, _replace_lost_api_key, pace=ROLLED, ready=_has_tried
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A call that the worker makes: in which scenario, from where in its code, and as which request."""

    scenario: Scenario
    way: str
    step: Step
    again: bool

    def __str__(self) -> str:
        step = self.step
        return f"{self.way} ({step.service} {step.method} {step.path} #{step.nth}; {self.scenario.name})"

    def faults(self) -> Iterator[Fault]:
        return (fault for fault in faults_of(self.step) if fault.name in HARD or not self.again)


@dataclass(frozen=True, slots=True)
class Played:
    """How a trial went; ``met``: whether the call that was to be struck was made at all."""

    notes: Notes
    trace: tuple[Seen, ...]
    findings: tuple[BrokenPromise, ...]
    met: bool


def _play(bench: Bench, scenario: Scenario, strike: tuple[Step, Fault] | None) -> Played:
    """A scenario from start to rest, with one fault or with none, and the promises checked."""
    LOGGED.set([])
    met = Event()
    with bench.stand(f"shop-{next(NUMBERS)}", scenario.pace, scenario.behaviour) as stand, open_shop(stand) as shop:
        scenario.prepare(stand)
        may_lose, excused = scenario.may_lose, False
        if strike:
            step, fault = strike
            rule = fault.rule(stand, step)
            stand.script.add(replace(rule, action=actions.first(actions.call(met.set), rule.action)))
            effect = step.service == "hostup" and fault.moment is Moment.AFTER
            may_lose, excused = may_lose or (effect and step.method == "POST"), effect and step.method == "DELETE"
        looks = count()

        def between() -> None:
            scenario.tend(stand)
            if strike and met.is_set() and next(looks) == 1:
                strike[1].lift(stand)

        shop.live(between, lambda: scenario.ready(stand), lambda: _api_key(stand).get("phase", "idle") in AT_REST)
        trace = stand.script.trace()
        if strike:
            strike[1].lift(stand)
        stand.script.clear()
        evidence = stand.evidence()
        if excused:
            died = stand.simulator.admin.calls("delete")
            evidence = replace(evidence, excused=frozenset(call.request_id or "" for call in died))
        findings = shop.judge(evidence, may_lose=may_lose)
        findings = tuple(finding for finding in findings if not scenario.excuses(stand, finding))
        if scenario.pace.key_in_vault:
            findings = (*findings, *_of_api_key(stand))
        return Played(shop.notes, trace, findings, met.is_set())


def _strike(bench: Bench, row: Row, fault: Fault) -> Iterator[str]:
    """The findings of one trial. Some calls are made more or less often; then the first of them is struck."""
    played = _play(bench, row.scenario, (row.step, fault))
    if not played.met:
        played = _play(bench, row.scenario, (replace(row.step, nth=1), fault))
    yield from (f"{fault.name} at {row}: {finding}" for finding in played.findings)
    if not played.met:
        yield f"{fault.name} at {row}: was never met"


def _rows(scenario: Scenario, notes: Notes, trace: tuple[Seen, ...], known: set[str]) -> Iterator[Row]:
    """One row for each kind of request from each place in the code: its last, when there is a key to be retired."""
    found: dict[str, Row] = {}
    for seen in trace:
        passed = notes.of(seen.number) if seen.service != "redis" else None
        if passed is None:
            continue
        request = f"{passed.site} {seen.method} {seen.path}"
        row = found.get(f"{passed.way} {request}") or Row(scenario, passed.way, seen.step, again=request in known)
        found[f"{passed.way} {request}"] = replace(row, step=seen.step)
        known.add(request)
    yield from (row for name, row in found.items() if name not in known)
    known |= set(found)


@dataclass(frozen=True, slots=True)
class Matrix:
    rows: tuple[Row, ...]
    passed: frozenset[Site]


@pytest.fixture(scope="module")
def matrix(bench: Bench) -> Matrix:
    """Found from the code: every scenario is run without a fault, and what it calls becomes rows."""
    return find(bench)


def find(bench: Bench) -> Matrix:
    rows: list[Row] = []
    known: set[str] = set()
    passed: set[Site] = set()
    for scenario in SCENARIOS:
        played = _play(bench, scenario, None)
        assert not played.findings, f"{scenario.name}: {'; '.join(map(str, played.findings))}"
        rows += _rows(scenario, played.notes, played.trace, known)
        passed |= played.notes.sites()
    return Matrix(tuple(rows), frozenset(passed))


@pytest.mark.usefixtures("logs_to_trials")
def test_every_call_in_the_code_has_a_row(matrix: Matrix) -> None:
    code = in_the_code()
    assert code - matrix.passed - set(ELSEWHERE) == set(), "no scenario comes to these calls: add one that does"
    assert set(ELSEWHERE) - (code - matrix.passed) == set(), "these need no exception any more"


@pytest.mark.usefixtures("logs_to_trials")
@pytest.mark.parametrize("part", range(PARTS))
def test_no_fault_breaks_a_promise(bench: Bench, matrix: Matrix, part: int) -> None:
    """In parts, so that they can run in several processes."""
    cells = [(row, fault) for row in matrix.rows for fault in row.faults()][part::PARTS]
    with ThreadPoolExecutor(LANES) as lanes:
        played = lanes.map(lambda cell: list(_strike(bench, *cell)), cells)
        broken = [line for lines in played for line in lines]
    assert not broken, f"{len(broken)} findings in {len(cells)} trials:\n" + "\n".join(broken)
