"""The page about models: champion and challenger side by side, the gate's verdict, and what a person decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.console.learning import tabs
from router.console.roles import Action
from router.console.routes import Route
from router.errors import NotFound, SignpostError
from router.learning.card import HEADLINES
from router.learning.outvote import told
from router.learning.shadow import counted, said
from router.store import models
from router.web.pages import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web
    from sqlalchemy import Connection

    from router.console.console import Console
    from router.console.routes import Visit

_URGENT = (("recall", "urgent messages found"), ("precision", "right among what it took for urgent"))


async def page(console: Console, visit: Visit) -> web.StreamResponse:
    """Show the champion beside one other model (the one asked for, that is tried, or the newest), and all there are."""
    rows = await console.commands.run("models_list", {})
    champion = next((row["version"] for row in rows if row["state"] == models.CHAMPION), "")
    other = await _other(console, visit.request.query.get("version", ""), rows, champion)
    views = [await console.commands.run("models_show", {"version": each}) for each in (champion, other) if each]
    back = await console.store.read(models.before_champion)
    return console.page(
        visit,
        "models.html",
        tabs=tabs(console, visit),
        rows=rows,
        champion=champion,
        other=other,
        back=back.version if back else "",
        views=views,
        figures=side_by_side(views),
        told=[told(view["metrics"].get("outvoted") or ()) for view in views],
        tried=await _tried(console, other),
        governs=visit.viewer.may(Action.MODELS),
    )


async def _other(console: Console, asked: str, rows: Sequence[Mapping[str, Any]], champion: str) -> str:
    """Return the model to show beside the champion, "" if there is none."""
    known = [row["version"] for row in rows if row["version"] != champion]
    if asked:
        if asked not in known and asked != champion:
            raise NotFound("there is no such model")
        return asked if asked != champion else ""
    tried = await console.store.read(models.shadow)
    return tried.version if tried else known[0] if known else ""


async def _tried(console: Console, version: str) -> str:
    """Return how a model that is, or was, tried beside the champion has done so far, "" where it wasn't."""

    def read(connection: Connection) -> str:
        counts = counted(connection, version, list(console.desks.departments.values()))
        return sentence(said(counts)) if counts.n else ""

    return await console.store.read(read) if version else ""


def side_by_side(views: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return rows: what is measured, and for each model the figure and its interval."""
    held_out = [view["metrics"].get("held_out") or {} for view in views]
    rows = [("messages held out", [(str(figures.get("n", "–")), "") for figures in held_out])]
    rows += [
        (words, [_told(figures.get(name), (figures.get("intervals") or {}).get(name)) for figures in held_out])
        for name, words in HEADLINES
    ]
    urgent = [figures.get("urgent") or {} for figures in held_out]
    if any(urgent):
        rows += [
            (words, [_told(figures.get(name), (figures.get("intervals") or {}).get(name)) for figures in urgent])
            for name, words in _URGENT
        ]
    return rows


def _told(value: float | None, interval: Sequence[float] | None) -> tuple[str, str]:
    between = f"{interval[0]:.1%} to {interval[1]:.1%}" if interval else ""
    return ("–" if value is None else f"{value:.1%}"), between


# --- what a person decides --------------------------------------------------------------------------------------------


async def promote(console: Console, visit: Visit) -> web.StreamResponse:
    """Make a model the champion, whatever the gate said."""
    version = visit.named("version")
    return await _decided(console, visit, "models_promote", "Model {version} serves from now on.", version=version)


async def pin(console: Console, visit: Visit) -> web.StreamResponse:
    """Keep a model for good, or no longer."""
    pinned = visit.form.get("pinned") == "yes"
    done = "Model {version} is kept for good." if pinned else "Model {version} may be dropped again."
    return await _decided(console, visit, "models_pin", done, version=visit.named("version"), pinned=pinned)


async def roll_back(console: Console, visit: Visit) -> web.StreamResponse:
    """Go back to the model that served before."""
    why = visit.form.get("why", "")[:500]
    return await _decided(console, visit, "models_rollback", "Model {version} serves again.", why=why)


async def _decided(console: Console, visit: Visit, command: str, done: str, **arguments: Any) -> web.StreamResponse:
    """Run a command by the viewer's name, note it, and tell what came of it."""
    await console.note(
        visit, command.replace("models", "model"), f"model {arguments['version']}" if "version" in arguments else ""
    )
    try:
        row = await console.commands.run(command, {**arguments, "by": visit.viewer.email})
    except SignpostError as error:
        return console.see_other("/learning/models", sentence(f"not done: {error}"))
    return console.see_other("/learning/models", done.format(version=row["version"]))


ROUTES = (
    Route(path="/learning/models", action=Action.TEACH, page=page, noted="models"),
    Route(path="/learning/models/rollback", action=Action.MODELS, page=roll_back, post=True),
    Route(path="/learning/models/{version}/promote", action=Action.MODELS, page=promote, post=True),
    Route(path="/learning/models/{version}/pin", action=Action.MODELS, page=pin, post=True),
)
