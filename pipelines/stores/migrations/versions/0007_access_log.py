"""Accesses: by which filters rows were chosen; what was written stays."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

GUARDS = {
    "sqlite": (
        "CREATE TRIGGER access_log_update BEFORE UPDATE ON access_log BEGIN SELECT RAISE(ABORT, 'access_log is append-only'); END",
        "CREATE TRIGGER access_log_delete BEFORE DELETE ON access_log BEGIN SELECT RAISE(ABORT, 'access_log is append-only'); END",
    ),
    "postgresql": (
        "CREATE TRIGGER access_log_change BEFORE UPDATE OR DELETE ON access_log FOR EACH ROW EXECUTE FUNCTION ordercast_append_only()",
        "CREATE TRIGGER access_log_truncate BEFORE TRUNCATE ON access_log FOR EACH STATEMENT EXECUTE FUNCTION ordercast_append_only()",
    ),
}


def upgrade() -> None:
    op.execute("ALTER TABLE access_log ADD COLUMN filters TEXT")
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    on_table = " ON access_log" if op.get_bind().dialect.name == "postgresql" else ""
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.execute(f"DROP TRIGGER {statement.split()[2]}{on_table}")
    op.execute("ALTER TABLE access_log DROP COLUMN filters")
