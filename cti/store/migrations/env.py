"""Alembic's entry: the connection comes from `cti.store.migrate`."""

from alembic import context

from cti import intake
from cti.cases import tables as cases
from recorder import catalogue
from recorder.access import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=[tables.metadata, catalogue.metadata, intake.metadata, cases.metadata],
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
