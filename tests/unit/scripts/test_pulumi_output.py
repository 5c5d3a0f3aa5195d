"""What the pulumi CLI prints is told to people without what they cannot use."""

from __future__ import annotations

from pathlib import Path

from scripts.pulumi_output import failures, without_noise

FAILED = (Path(__file__).parent / "up-that-failed.txt").read_text().splitlines()
"""Recorded from pulumi 3.260: an apply that could not write one of its files."""

TRACEBACK = """\
    error: cores: '1'; allowed: 2 to 200
    Traceback (most recent call last):
      File "/usr/bin/pulumi-language-python-exec", line 1, in <module>
        loop.run_until_complete(coro)
    KeyboardInterrupt
    error: an unhandled error occurred: program exited with non-zero exit code: 1
""".splitlines()


def test_a_failure_is_told_once_with_the_resource_and_the_reason() -> None:
    assert failures(without_noise(FAILED)) == [
        "fsn1-balancer-1-apply: Process exited with status 1: apply:",
        "fsn1-balancer-1-apply: balancer-1: [Errno 21] Is a directory: "
        "'/etc/kamailio/.dispatcher.list.m2-new' -> '/etc/kamailio/dispatcher.list'",
    ]


def test_plugins_on_path_and_the_text_of_an_apply_are_not_repeated() -> None:
    quiet = list(without_noise(FAILED))
    assert not any("from $PATH" in line or "=0123456789ab" in line for line in quiet)
    assert any("fsn1-balancer-1-apply updating" in line for line in quiet)


def test_a_traceback_goes_and_the_sentences_around_it_stay() -> None:
    quiet = [line.strip() for line in without_noise(TRACEBACK)]
    assert quiet[0] == "error: cores: '1'; allowed: 2 to 200"
    assert not any("File" in line or "Traceback" in line for line in quiet)
    assert quiet[-1].startswith("error: an unhandled error")


def test_what_went_well_is_no_failure() -> None:
    assert failures(["Updating (full-fsn1):", "Diagnostics:", "    warning: slow", "Resources:", "    2 created"]) == []
