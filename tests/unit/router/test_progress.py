"""What a command shows while it is at work."""

from __future__ import annotations

from router.commandline import progress


def test_what_takes_a_moment_shows_nothing(capsys, monkeypatch):
    """Progress comes only after some time; then it is said as for anything that takes long."""
    monkeypatch.setattr(progress, "_MOMENT_S", 1e9)
    with progress.shown_later("Backing up") as tell:
        tell("1 of 2 MB", 0.5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "_MOMENT_S", 0.0)
    with progress.shown_later("Backing up") as tell:
        tell("1 of 2 MB", 0.5)
    assert capsys.readouterr().err == "Backing up: 1 of 2 MB (50%)\n"
