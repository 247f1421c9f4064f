"""For tests of a channel's check (`signpost check --connect`): run it, and the suite that every check passes.

Shipped, so that the author of a channel can run what the built-in ones pass.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

from router.findings import Finding, Level
from router.interfaces import CheckContext
from router.testing_sinks import sample_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from router.interfaces import Channel

_PATIENCE_S = 60.0


def check_context(**changes: Any) -> CheckContext:
    """Return a context for a check; `changes` replace fields."""
    sample = sample_context()
    shared = {name: getattr(sample, name) for name in sample.__dataclass_fields__}
    return CheckContext(**{**shared, **changes})


async def findings(channel: Channel, settings: Mapping[str, Any], **changes: Any) -> list[Finding]:
    """Run a channel's check with these settings and return what it found."""
    assert channel.check is not None
    checked = channel.settings.model_validate(settings)
    async with asyncio.timeout(_PATIENCE_S), aclosing(channel.check(checked, check_context(**changes))) as steps:
        return [step async for step in steps if isinstance(step, Finding)]


def failures(found: Sequence[Finding]) -> list[Finding]:
    """Return what isn't fine."""
    return [finding for finding in found if finding.level is Level.FAILED]


class CheckContract(ABC):
    """What the core relies on in every check. A subclass says which settings are good, and which can't work."""

    channel: ClassVar[Channel]
    secret: ClassVar[str] = ""  # one that the good settings lead to: it is never shown
    context: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def good(self, folder: Path) -> Mapping[str, Any]:
        """Return settings with which all is well."""

    @abstractmethod
    def bad(self, folder: Path) -> Mapping[str, Any]:
        """Return settings that are valid, and with which nothing works."""

    async def test_what_is_well_is_said_to_be(self, tmp_path: Path) -> None:
        """With good settings something is proved and nothing has failed."""
        found = await findings(self.channel, self.good(tmp_path), **self.context)
        assert found
        assert not failures(found)

    async def test_what_is_wrong_comes_with_a_remedy(self, tmp_path: Path) -> None:
        """With settings that can't work something has failed, and how to mend it is said."""
        failed = failures(await findings(self.channel, self.bad(tmp_path), **self.context))
        assert failed
        assert all(finding.mend for finding in failed)

    async def test_it_speaks_in_sentences(self, tmp_path: Path) -> None:
        """Each finding is one line that ends with a full stop; a remedy has none, since it stands within a sentence."""
        for settings in (self.good(tmp_path), self.bad(tmp_path)):
            for finding in await findings(self.channel, settings, **self.context):
                assert finding.what.isprintable()
                assert finding.what.endswith(".")
                assert finding.mend.isprintable()
                assert not finding.mend.endswith(".")

    async def test_no_secret_is_shown(self, tmp_path: Path) -> None:
        """Neither what is fine nor what isn't repeats a secret."""
        for settings in (self.good(tmp_path), self.bad(tmp_path)):
            said = [asdict(finding) for finding in await findings(self.channel, settings, **self.context)]
            assert not self.secret or self.secret not in str(said)

    async def test_it_can_be_broken_off(self, tmp_path: Path) -> None:
        """A check that is cancelled ends soon: its time limit holds."""
        checking = asyncio.create_task(findings(self.channel, self.good(tmp_path), **self.context))
        await asyncio.sleep(0)
        checking.cancel()
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.wait([checking])
        assert checking.cancelled() or checking.done()
