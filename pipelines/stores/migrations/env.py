from alembic import context

# The gateway passes a connection whose transaction it commits itself: all of an upgrade happens, or nothing.
given = context.config.attributes
context.configure(connection=given["connection"], version_table=given["version_table"], transactional_ddl=True)
context.run_migrations()
