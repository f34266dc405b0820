"""What became of decided suggestions once their window had passed, and what that was worth."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {
        "timestamp": "TEXT", "day": "TEXT", "amount": "TEXT", "count": "INTEGER", "qty": "REAL", "flag": "INTEGER", "strict": " STRICT",
    },
    "postgresql": {
        "timestamp": "timestamptz", "day": "date", "amount": "numeric(18, 4)", "count": "bigint", "qty": "double precision",
        "flag": "boolean", "strict": "",
    },
}  # fmt: skip

OWN = """
CREATE TABLE recommendation_outcome (
  rec_id TEXT NOT NULL PRIMARY KEY REFERENCES recommendation (rec_id), decision_id TEXT NOT NULL, run_id TEXT NOT NULL,
  is_accepted {flag} NOT NULL, window_from {day} NOT NULL, window_to {day} NOT NULL, category TEXT,
  proposed_qty {count} NOT NULL, decided_qty {count} NOT NULL, received_qty {count} NOT NULL,
  demand_qty {qty}, lost_qty {qty}, lost_without_qty {qty}, lost_with_qty {qty}, averted_qty {qty}, excess_unit_days {qty},
  averted_margin {amount}, excess_cost {amount}, value_added {amount}, currency_code TEXT,
  verdict TEXT NOT NULL CHECK (verdict IN ('averted', 'unneeded', 'too_late', 'insufficient', 'unknown')),
  missing TEXT, data_hash TEXT NOT NULL, measured_at {timestamp} NOT NULL
){strict}
"""


def upgrade() -> None:
    op.execute(OWN.format(**TYPES[op.get_bind().dialect.name]))


def downgrade() -> None:
    """What was measured follows from the warehouse again, as far as it still knows the days."""
    op.execute("DROP TABLE recommendation_outcome")
