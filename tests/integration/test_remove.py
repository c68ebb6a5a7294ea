"""``rotator remove``: shown first, asked for, refused with a reason; and what else is decided about such a target."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from tests.forms import fits
from tests.integration.scene import Scene, scene_on, scheduled
from tests.records import NOW, SECOND, create, current, empty, retiring, rotation
from worker.cli.remove import remove
from worker.cli.settle import Answers, Foreign, settle, settle_or_note
from worker.errors import RotatorError, TryAgainLater, UsageError
from worker.rotation.baseline import note_foreign
from worker.rotation.record import Phase, Record, Why
from worker.sandbox.servers import ValkeyServer
from worker.service.audit_task import audit_once

GONE = Record(target="gone", path="apps/gone", current=current("AK5"), retiring=(retiring("AK6"),))
SECRET = {"access_key": "AK5", "secret_key": "secret-of-AK5"}


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    """``media`` is configured, ``gone`` is no longer."""
    made = scene_on(tmp_path, client, server, replace(empty(), current=current()))
    made.hostup.living |= {"AK0": "", "AK5": "", "AK6": "", "BY-HAND": ""}
    made.runtime.services.vault.write("apps/gone", SECRET, 0)
    put(made, GONE)
    return made


def put(scene: Scene, record: Record) -> None:
    store = scene.runtime.services.store
    store.change(store.load(record.target, record.path), lambda _: record)


def gone(scene: Scene) -> Record:
    return scene.runtime.services.store.load("gone", "").record


def run(
    scene: Scene, capsys: pytest.CaptureFixture[str], *, revoke: bool = False, yes: bool = True
) -> dict[str, object]:
    code = remove(scene.options(), "gone", revoke=revoke, yes=yes)
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return {**found, "code": code}


@pytest.mark.parametrize("revoke", [False, True])
@pytest.mark.parametrize("as_json", [False, True])
def test_it_is_only_shown_where_nobody_can_be_asked(
    scene: Scene, capsys: pytest.CaptureFixture[str], *, revoke: bool, as_json: bool
) -> None:
    before = gone(scene)
    assert remove(scene.options(as_json=as_json), "gone", revoke=revoke, yes=False) == 0
    said = capsys.readouterr().out
    assert (gone(scene), scene.hostup.deleted) == (before, [])
    assert "AK5" in said
    assert "AK6" in said
    if as_json:
        assert json.loads(said)["done"] is False
    else:
        assert ("every app that still reads it fails" in said) is revoke
        assert "Nothing was changed. With --yes it is done." in said


@pytest.mark.parametrize(("witnessed", "said"), [(True, "dead"), (False, "unknown")])
def test_a_current_key_that_is_dead_already_is_told_as_dead(
    scene: Scene, capsys: pytest.CaptureFixture[str], *, witnessed: bool, said: str
) -> None:
    """Where another target's key shows that this gateway tells a dead key from a wrong secret."""
    del scene.hostup.living["AK5"]
    if not witnessed:
        del scene.hostup.living["AK0"]
    assert remove(scene.options(as_json=False), "gone", revoke=False, yes=False) == 0
    assert f"AK5 (by the object storage: {said})" in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_a_person_at_a_terminal_is_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal(answer))
    assert remove(scene.options(as_json=False), "gone", revoke=False, yes=False) == 0
    shown = capsys.readouterr()
    assert "End gone?" in shown.err
    assert gone(scene).has_ended is (answer == "y")
    assert ("Done: gone has ended" in shown.out) is (answer == "y")


class _Terminal:
    """Somebody types one line."""

    def __init__(self, line: str) -> None:
        self._line = line

    def isatty(self) -> bool:
        return True

    def readline(self, *_: int) -> str:
        return self._line + "\n"


def test_released(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(scene, capsys)
    assert (done["code"], done["done"], done["becomes"], done["access_key"]) == (0, True, "released", "AK5")
    assert [key.access_key for key in gone(scene).retiring] == ["AK6"]
    assert scene.hostup.deleted == []
    again = run(scene, capsys)
    assert (again["code"], again["done"]) == (0, False)


def test_revoked(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(scene, capsys, revoke=True)
    assert (done["code"], done["becomes"], done["deleted"]) == (0, "revoked", True)
    assert done["delete_request_id"] == "delete-of-AK5"
    assert "AK5" not in scene.hostup.living
    assert set(scene.hostup.living) >= {"AK0", "BY-HAND"}


def test_a_key_that_cannot_be_deleted_now_is_said_and_deleted_by_the_next_audit(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """HostUp keeps the last key of an account; here it is that, and later not."""
    put(scene, replace(GONE, retiring=()))
    scene.hostup.living = {"AK5": ""}
    assert remove(scene.options(as_json=False), "gone", revoke=True, yes=True) == 1
    assert "AK5 is NOT deleted yet: HostUpLastKey" in capsys.readouterr().out
    (key,) = gone(scene).retiring
    assert (key.why, key.deleted_at) == (Why.REVOKED, None)
    scene.hostup.living["NEW"] = ""
    scene.clock.time = key.next_look_at
    audit_once(scene.runtime)
    assert set(scene.hostup.living) == {"NEW"}


def test_after_a_kill_in_the_middle_the_command_goes_on(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    late = replace(retiring("AK5", -SECOND), why=Why.REVOKED)
    put(scene, replace(GONE, current=None, retiring=(late,)))
    done = run(scene, capsys, revoke=True)
    assert (done["code"], done["done"], done["delete_request_id"]) == (0, True, "delete-of-AK5")
    assert scene.hostup.deleted == ["AK5"]


def _refused(scene: Scene, name: str = "gone") -> RotatorError:
    before = dict(scene.hostup.living)
    with pytest.raises(RotatorError) as caught:
        remove(scene.options(), name, revoke=True, yes=True)
    assert scene.hostup.living == before
    return caught.value


class TestRefused:
    def test_while_it_is_configured(self, scene: Scene) -> None:
        error = _refused(scene, "media")
        assert isinstance(error, UsageError)
        assert f"media is still in {scene.config}" in error.what

    def test_what_was_never_there(self, scene: Scene) -> None:
        assert "nothing is on record" in _refused(scene, "nobody").what

    def test_while_another_name_has_its_path(self, scene: Scene) -> None:
        put(scene, replace(GONE, path="apps/media"))
        assert "rotator rename gone media" in _refused(scene).hint

    def test_while_a_worker_serves_it(self, scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
        scene.shared.due.schedule("gone", NOW)
        scene.shared.heartbeats.beat("one")
        error = _refused(scene)
        assert isinstance(error, TryAgainLater)
        assert "Restart the workers" in error.hint
        scene.shared.due.forget(["gone"])
        assert run(scene, capsys)["done"]

    def test_while_something_has_to_be_cleared_up(self, scene: Scene) -> None:
        put(scene, replace(GONE, unconfirmed_creates=(create(),)))
        assert "rotator settle gone" in _refused(scene).hint
        put(scene, replace(GONE, deletes_held=True))
        assert "rotator settle gone --restored" in _refused(scene).hint

    def test_a_create_that_nobody_finished_is_put_on_record_first(self, scene: Scene) -> None:
        """Its worker died; no other one takes over, as the target is not configured."""
        put(scene, replace(GONE, rotation=rotation(Phase.CREATING, lease=-SECOND)))
        assert "rotator settle gone" in _refused(scene).hint
        (unconfirmed,) = gone(scene).unconfirmed_creates
        assert (unconfirmed.open, unconfirmed.rotation_id) == (True, "rotation-1")
        assert gone(scene).rotation is None
        put(scene, replace(GONE, rotation=rotation(Phase.CREATING, lease=SECOND)))
        assert isinstance(_refused(scene), TryAgainLater)


class TestSettled:
    def test_held_deletes_of_a_removed_target_are_let_go_on(
        self, scene: Scene, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put(scene, replace(GONE, deletes_held=True))
        note_foreign(scene.runtime.services, 0, None, 0)
        audit_once(scene.runtime)
        assert scene.hostup.deleted == [], "nothing explains BY-HAND"
        settle_or_note(scene.options(), "gone", None, Answers(restored=True), Foreign())
        fits(json.loads(capsys.readouterr().out), "settle")
        assert not gone(scene).deletes_held
        assert gone(scene).history.entries()[-1].event == "deletes.resumed"
        assert "gone" not in scheduled(scene.shared), "no worker can look at it"

    @pytest.mark.parametrize("answers", [Answers(none=True), Answers(deleted=True), Answers(revoke="BY-HAND")])
    def test_its_unconfirmed_creates_are_settled(self, scene: Scene, answers: Answers) -> None:
        put(scene, replace(GONE, unconfirmed_creates=(create(),)))
        settle(scene.options(), "gone", None, answers)
        assert [each.open for each in gone(scene).unconfirmed_creates] == [False]
        assert ("BY-HAND" in gone(scene).keys_on_record()) is bool(answers.revoke)

    def test_an_audit_that_explains_every_key_lets_them_go_on_by_itself(self, scene: Scene) -> None:
        put(scene, replace(GONE, deletes_held=True))
        audit_once(scene.runtime)
        assert not gone(scene).deletes_held
        assert scene.hostup.deleted == ["AK6"], "its time is over"

    def test_what_is_in_no_way_on_record_is_no_target(self, scene: Scene) -> None:
        with pytest.raises(UsageError, match="there is no target"):
            settle(scene.options(), "nobody", None, Answers(none=True))
