"""What people say about documents in quarantine: values mended, and blocks of publishing accepted."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {"timestamp": "TEXT", "strict": " STRICT"},
    "postgresql": {"timestamp": "timestamptz", "strict": ""},
}

OWN = """
CREATE TABLE quarantine_mend (
  mend_id TEXT NOT NULL PRIMARY KEY, table_name TEXT NOT NULL, row_key TEXT NOT NULL, field TEXT NOT NULL,
  old_value TEXT, new_value TEXT, reason TEXT NOT NULL CHECK (reason <> ''),
  mended_by TEXT NOT NULL, mended_at {timestamp} NOT NULL, withdrawn_by TEXT, withdrawn_at {timestamp},
  CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL))
){strict};
CREATE UNIQUE INDEX quarantine_mend_standing ON quarantine_mend (table_name, row_key, field) WHERE withdrawn_at IS NULL;
CREATE TABLE publishing_acceptance (
  hold_id TEXT NOT NULL PRIMARY KEY, code TEXT NOT NULL, table_name TEXT NOT NULL, found TEXT NOT NULL,
  reason TEXT NOT NULL CHECK (reason <> ''), accepted_by TEXT NOT NULL, accepted_at {timestamp} NOT NULL
){strict}
"""


def upgrade() -> None:
    for statement in OWN.format(**TYPES[op.get_bind().dialect.name]).split(";"):
        op.execute(statement)


def downgrade() -> None:
    """Mended rows are read as the shop has them again, on the next run."""
    op.execute("DROP TABLE publishing_acceptance")
    op.execute("DROP TABLE quarantine_mend")
