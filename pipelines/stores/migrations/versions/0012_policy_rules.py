"""Policy rules: versions that are only ever added, and reverted at most once."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {"timestamp": "TEXT", "day": "TEXT", "count": "INTEGER", "strict": " STRICT"},
    "postgresql": {"timestamp": "timestamptz", "day": "date", "count": "bigint", "strict": ""},
}

OWN = """
CREATE TABLE policy_rule (
  rule_id TEXT NOT NULL, version {count} NOT NULL CHECK (version >= 1), scope TEXT NOT NULL, settings TEXT NOT NULL,
  valid_from {day} NOT NULL, valid_to {day}, season_from TEXT, season_to TEXT, priority {count} NOT NULL,
  reason TEXT NOT NULL CHECK (reason <> ''), preview TEXT NOT NULL, author TEXT NOT NULL, created_at {timestamp} NOT NULL,
  reverted_at {timestamp}, reverted_by TEXT, revert_reason TEXT,
  PRIMARY KEY (rule_id, version), CHECK (valid_to IS NULL OR valid_to >= valid_from),
  CHECK ((season_from IS NULL) = (season_to IS NULL)),
  CHECK ((reverted_at IS NULL) = (reverted_by IS NULL) AND (reverted_at IS NULL) = (revert_reason IS NULL))
){strict}
"""


def upgrade() -> None:
    op.execute(OWN.format(**TYPES[op.get_bind().dialect.name]))


def downgrade() -> None:
    op.execute("DROP TABLE policy_rule")
