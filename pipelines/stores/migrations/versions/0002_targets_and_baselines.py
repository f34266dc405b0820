"""Dated targets of metrics, and frozen baselines; lines of both are only ever added."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {"timestamp": "TEXT", "day": "TEXT", "count": "INTEGER", "real": "REAL", "strict": " STRICT"},
    "postgresql": {"timestamp": "timestamptz", "day": "date", "count": "bigint", "real": "double precision", "strict": ""},
}

OWN = """
CREATE TABLE metric_target (
  target_id TEXT NOT NULL PRIMARY KEY, metric TEXT NOT NULL, dimension TEXT, member TEXT, valid_from {day} NOT NULL, valid_to {day},
  target {real}, watch_band {real} CHECK (watch_band >= 0), direction TEXT CHECK (direction IN ('higher', 'lower')), author TEXT NOT NULL,
  created_at {timestamp} NOT NULL,
  CHECK ((dimension IS NULL) = (member IS NULL)), CHECK (valid_to IS NULL OR valid_to >= valid_from)
){strict};
CREATE TABLE metric_baseline (
  name TEXT NOT NULL, metric TEXT NOT NULL, value {real} NOT NULL, numerator {real}, denominator {real}, n {count} NOT NULL,
  unit TEXT NOT NULL, currency_code TEXT, period_from {day} NOT NULL, period_to {day} NOT NULL, release_id TEXT NOT NULL,
  as_of_date {day} NOT NULL, frozen_at {timestamp} NOT NULL,
  PRIMARY KEY (name, metric)
){strict}
"""


def upgrade() -> None:
    for statement in OWN.format(**TYPES[op.get_bind().dialect.name]).split(";"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE metric_baseline")
    op.execute("DROP TABLE metric_target")
