"""Sheets that people kept become cases (E-08), in batches of rows."""

from fastapi import APIRouter, Request

from cti.api.importshapes import Import, Imported, ImportedRow
from cti.api.service import Once, may, service_of
from policies.rights import Act
from recorder.access.sessions import Session

router = APIRouter(route_class=Once, tags=["cases"])


@router.post("/cases/import")
async def import_rows(asked: Import, request: Request, session: Session = may(Act.CASES)) -> Imported:
    """Enter rows of a sheet for the unit of whoever asks, or try; the same row again is the same case."""
    rows = [row.model_dump(exclude_unset=True) | {"nth": row.nth, "asked_nth": row.asked_nth} for row in asked.rows]
    found = await service_of(request).importing.take(
        session.who.account, rows, batch=asked.batch, dry_run=asked.dry_run
    )
    return Imported(dry_run=asked.dry_run, items=[ImportedRow.of(one) for one in found])
