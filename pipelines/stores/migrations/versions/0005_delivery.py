"""The outbox as deliverers need it: what a message is called outside, its place among its recommendation's messages, and who has it."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {"timestamp": "TEXT", "count": "INTEGER", "flag": "INTEGER", "no": "0", "strict": " STRICT"},
    "postgresql": {"timestamp": "timestamptz", "count": "bigint", "flag": "boolean", "no": "false", "strict": ""},
}

# SQLite cannot change a check, so the table is made anew in both databases.
NEW = """
CREATE TABLE outbox_new (
  idem_key TEXT NOT NULL PRIMARY KEY, decision_id TEXT NOT NULL, rec_id TEXT NOT NULL, number {count} NOT NULL, payload TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'unknown', 'dead', 'refused', 'cancelled')),
  attempts {count} NOT NULL, next_at {timestamp} NOT NULL, is_in_doubt {flag} NOT NULL, target TEXT, claim TEXT, last_error TEXT,
  created_at {timestamp} NOT NULL, UNIQUE (rec_id, number)
){strict};
INSERT INTO outbox_new SELECT idem_key, idem_key, rec_id, row_number() OVER (PARTITION BY rec_id ORDER BY created_at), payload, state,
  attempts, next_at, {no}, NULL, NULL, last_error, created_at FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_new RENAME TO outbox;
CREATE INDEX outbox_due ON outbox (next_at) WHERE state IN ('pending', 'sending')
"""

OLD = """
CREATE TABLE outbox_old (
  idem_key TEXT NOT NULL PRIMARY KEY, rec_id TEXT NOT NULL, payload TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'unknown', 'dead')), attempts {count} NOT NULL, next_at {timestamp} NOT NULL,
  last_error TEXT, created_at {timestamp} NOT NULL
){strict};
INSERT INTO outbox_old SELECT decision_id, rec_id, payload,
  CASE state WHEN 'sending' THEN 'unknown' WHEN 'refused' THEN 'dead' WHEN 'cancelled' THEN 'dead' ELSE state END,
  attempts, next_at, last_error, created_at FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_old RENAME TO outbox;
CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'pending'
"""


def upgrade() -> None:
    """A message's key outside follows from its decision's, which callers choose freely; nothing has ever been sent under the old one."""
    conn = op.get_bind()
    for statement in NEW.format(**TYPES[conn.dialect.name]).split(";"):
        op.execute(statement)
    for (decision_id,) in conn.execute(sa.text("SELECT decision_id FROM outbox")).all():
        key = f"msg_{hashlib.sha256(str(decision_id).encode()).hexdigest()[:32]}"
        conn.execute(
            sa.text("UPDATE outbox SET idem_key = :key WHERE decision_id = :decision_id"), {"key": key, "decision_id": decision_id}
        )


def downgrade() -> None:
    """What was being sent is unknown; what was refused or called off counts as not delivered."""
    for statement in OLD.format(**TYPES[op.get_bind().dialect.name]).split(";"):
        op.execute(statement)
