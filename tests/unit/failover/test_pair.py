"""The host's command: what it asks the agent, what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from failover import pair
from tests.unit.fake_agent import FakeAgent

Output = pytest.CaptureFixture[str]
YES = {"ok": True, "said": "done"}


def run(capsys: Output, *words: str) -> tuple[int, dict[str, Any]]:
    code = pair.main(words)
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["switchover"], {"do": "switchover"}),
        (["failback"], {"do": "failback"}),
        (["pause"], {"do": "pause"}),
        (["resume"], {"do": "resume"}),
        (["rejoin"], {"do": "rejoin"}),
        (["takeover", "--accept-data-loss"], {"do": "takeover", "accept_data_loss": True}),
        (["init", "--primary"], {"do": "init", "primary": True}),
        (["release", "--wait", "5"], {"do": "release", "wait": 5.0, "accept_degraded": False}),
        (["release", "--accept-degraded"], {"do": "release", "wait": 600.0, "accept_degraded": True}),
        (["lock", "me", "--seconds", "30"], {"do": "lock", "owner": "me", "seconds": 30.0}),
        (["unlock", "me"], {"do": "unlock", "owner": "me"}),
    ],
)
def test_it_asks_what_it_was_told(agent: FakeAgent, capsys: Output, words: list[str], request_: dict[str, Any]) -> None:
    agent.answer(request_["do"], YES)
    assert run(capsys, *words) == (0, YES)
    assert agent.asked == [request_]


def test_the_status_is_printed_as_it_came(agent: FakeAgent, capsys: Output) -> None:
    status: dict[str, Any] = {"me": "database-1", "record": None, "alarms": []}
    agent.answer("status", status)
    assert run(capsys, "status") == (0, status)


def test_a_refusal_is_told_and_ends_with_1(agent: FakeAgent, capsys: Output) -> None:
    agent.answer("failback", {"ok": False, "why": "the pair is not in SYNC"})
    assert run(capsys, "failback") == (1, {"ok": False, "why": "the pair is not in SYNC"})


@pytest.mark.parametrize("words", [["takeover"], ["init"], ["lock"], ["erase"], []])
def test_what_may_lose_data_has_to_be_said_in_full(agent: FakeAgent, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        pair.main(words)
    assert ended.value.code == 2
    assert agent.asked == []


def test_without_an_agent_it_ends_with_2_and_names_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr(pair, "SOCKET", tmp_path / "none.sock")
    code, answer = run(capsys, "status")
    assert (code, answer["ok"]) == (2, False)
    assert "none.sock" in answer["why"]


@pytest.mark.parametrize("garbage", [b"", b"\n", b"{", b"[1]\n"])
def test_an_answer_that_is_none_is_no_answer(agent: FakeAgent, capsys: Output, garbage: bytes) -> None:
    agent.answer("status", garbage)
    assert run(capsys, "status")[0] == 2


def test_a_lock_is_waited_for(agent: FakeAgent, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "LOCK_PAUSE", 0.01)
    agent.answer("lock", {"ok": False, "why": "database-2 has it"}, {"ok": False, "why": "database-2 has it"}, YES)
    assert run(capsys, "lock", "database-1", "--wait", "10") == (0, YES)
    assert len(agent.asked) == 3


def test_a_lock_that_does_not_come_free_is_refused_with_its_owner(agent: FakeAgent, capsys: Output) -> None:
    agent.answer("lock", {"ok": False, "why": "database-2 has it"})
    assert run(capsys, "lock", "database-1", "--wait", "0") == (1, {"ok": False, "why": "database-2 has it"})
