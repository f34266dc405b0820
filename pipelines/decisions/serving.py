"""Who changes which release is served: an admin goes back to an older one, and the audit log says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.decisions import audit
from pipelines.decisions.roles import require
from pipelines.errors import DecisionError
from pipelines.stores.releases import rollback, served_id

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.stores.operational import OperationalStore
    from pipelines.stores.releases import Release


def serve_release(store: OperationalStore, releases: Path, release_id: str, *, reason: str, actor: str) -> Release:
    """This release is served from now on; no file is changed, and suggestions in the store stay those of the latest run.

    Args:
        store: The operational store, which knows roles and keeps the record.
        releases: Folder of releases.
        release_id: Which.
        reason: Why, in a sentence.
        actor: An admin.

    Raises:
        NotPermittedError: The actor is no admin. Nothing was changed.
        DecisionError: There is no reason. Nothing was changed.
        ReleaseError: There is no such release, or it is damaged. Nothing was changed.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    if not reason.strip():
        raise DecisionError("Going back to another release needs its reason: who reads old figures has to know why.")
    before = served_id(releases)
    try:
        with store.transaction() as conn:
            require(conn, actor, "admin")
            audit.append(conn, actor=actor, before={"release": before}, after={"release": release_id, "reason": reason})
            return rollback(releases, to=release_id)  # last: where it fails, the record is not kept either
    except BaseException:
        if before is not None and served_id(releases) != before:  # served, and the record was lost: neither may be
            rollback(releases, to=before)
        raise
