"""Manual overrides of forecasts, and the day of the backtest behind a recommendation's evidence."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {"timestamp": "TEXT", "day": "TEXT", "real": "REAL", "strict": " STRICT"},
    "postgresql": {"timestamp": "timestamptz", "day": "date", "real": "double precision", "strict": ""},
}

OWN = """
CREATE TABLE forecast_override (
  override_id TEXT NOT NULL PRIMARY KEY, sku TEXT NOT NULL, location_id TEXT NOT NULL, from_date {day} NOT NULL, to_date {day} NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('absolute', 'factor')), value {real} NOT NULL CHECK (value >= 0),
  reason TEXT NOT NULL CHECK (reason <> ''), author TEXT NOT NULL, created_at {timestamp} NOT NULL,
  withdrawn_at {timestamp}, withdrawn_by TEXT,
  CHECK (to_date >= from_date), CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL))
){strict};
ALTER TABLE recommendation_evidence ADD COLUMN backtest_date {day}
"""


def upgrade() -> None:
    for statement in OWN.format(**TYPES[op.get_bind().dialect.name]).split(";"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE recommendation_evidence DROP COLUMN backtest_date")
    op.execute("DROP TABLE forecast_override")
