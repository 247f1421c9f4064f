"""Alembic's entry: run on the connection that `router.store.migrate` hands over."""

from alembic import context

from router.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=False,  # the caller has begun a transaction, and ends it
)
context.run_migrations()
