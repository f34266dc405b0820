from alembic import context

# The gateway passes a connection whose transaction it commits itself: all of an upgrade happens, or nothing.
# The version table has a name of its own: a merchant's application may keep its own Alembic history in the same database.
context.configure(connection=context.config.attributes["connection"], version_table="ordercast_version", transactional_ddl=True)
context.run_migrations()
