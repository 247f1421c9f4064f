"""What a training learns from, as the store holds it at one moment, and the champion that it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.learning import registry
from router.learning.lessons import gather
from router.plugins import classifier_types

if TYPE_CHECKING:
    from router.learning.lessons import Lessons, Rules
    from router.learning.train import Champion
    from router.store.engine import Store


async def snapshot(store: Store, rules: Rules) -> tuple[Lessons, Champion | None]:
    """Return what may be learnt from, as far as the caps allow, and the champion (None where there is none yet)."""
    champion = await registry.load_champion(store, classifier_types())
    known: Any = champion[1].get("learnt", ()) if champion else ()
    now = store.clock.now()
    return await store.read(lambda c: gather(c, rules, now, frozenset(known))), champion
