"""Merchant, change feed and recommendations."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {"timestamp": "TEXT", "day": "TEXT", "amount": "TEXT", "count": "INTEGER", "real": "REAL", "strict": " STRICT"},
    "postgresql": {
        "timestamp": "timestamptz", "day": "date", "amount": "numeric(18, 4)", "count": "bigint", "real": "double precision", "strict": "",
    },
}  # fmt: skip

FEED = {
    "sqlite": """
CREATE TABLE feed_change (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, tbl TEXT NOT NULL, pk TEXT NOT NULL, op TEXT NOT NULL, token INTEGER NOT NULL DEFAULT (random())
) STRICT;
CREATE TABLE feed_epoch (epoch TEXT NOT NULL, pruned_to INTEGER NOT NULL) STRICT;
CREATE TABLE feed_mark (position INTEGER NOT NULL, marked_at TEXT NOT NULL) STRICT
""",
    "postgresql": """
CREATE SCHEMA feed;
REVOKE ALL ON SCHEMA feed FROM PUBLIC;
CREATE TABLE feed.change (xid xid8 NOT NULL DEFAULT pg_current_xact_id(), tbl text NOT NULL, pk text NOT NULL, op "char" NOT NULL);
CREATE INDEX change_xid ON feed.change (xid);
CREATE TABLE feed.epoch (epoch text NOT NULL, pruned_to xid8 NOT NULL);
CREATE TABLE feed.mark (position xid8 NOT NULL, marked_at timestamptz NOT NULL)
""",
}

OWN = """
CREATE TABLE merchant (
  merchant_id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, reporting_time_zone TEXT NOT NULL, currency_code TEXT NOT NULL,
  origin TEXT NOT NULL, as_of_date {day}, data_until {timestamp}
){strict};
CREATE TABLE recommendation_run (
  run_id TEXT NOT NULL PRIMARY KEY, as_of_date {day} NOT NULL, release_id TEXT, code_version TEXT NOT NULL, config_hash TEXT NOT NULL,
  seed {count} NOT NULL, gate_status TEXT NOT NULL, counts TEXT NOT NULL, proposed_at {timestamp} NOT NULL
){strict};
CREATE TABLE recommendation (
  rec_id TEXT NOT NULL PRIMARY KEY, recommendation_key TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('purchase', 'transfer', 'allocate', 'expedite', 'defer', 'cancel_po')),
  sku TEXT NOT NULL, location_id TEXT NOT NULL, source_location_id TEXT, supplier_id TEXT,
  raw_qty {count}, recommended_qty {count} NOT NULL CHECK (recommended_qty > 0), unit_cost {amount}, currency_code TEXT,
  order_by {day}, need_by {day}, expected_receipt {day}, priority_score {real} NOT NULL, p_stockout_if_ignored {real},
  cost_if_ignored_p50 {amount}, cost_if_ignored_p90 {amount}, cost_if_accepted {amount}, binding_constraint TEXT, reason TEXT NOT NULL,
  policy_version TEXT, basis TEXT, basis_version {count}, expires_at {timestamp},
  status TEXT NOT NULL CHECK (status IN
    ('proposed', 'approved', 'applied', 'closed', 'snoozed', 'rejected', 'expired', 'superseded', 'stale', 'failed')),
  version {count} NOT NULL, first_run_id TEXT NOT NULL, last_run_id TEXT NOT NULL
){strict};
CREATE UNIQUE INDEX recommendation_open ON recommendation (recommendation_key) WHERE status NOT IN ('superseded', 'expired', 'closed');
CREATE TABLE recommendation_explanation (
  rec_id TEXT NOT NULL REFERENCES recommendation (rec_id), step_number {count} NOT NULL, step TEXT NOT NULL, qty {real}, note TEXT,
  PRIMARY KEY (rec_id, step_number)
){strict};
CREATE TABLE recommendation_evidence (
  rec_id TEXT NOT NULL PRIMARY KEY REFERENCES recommendation (rec_id), model TEXT, fallback_reason TEXT,
  windows_count {count}, horizon_days {count}, wape_rate {real}, mase {real}, bias_rate {real},
  naive_wape_rate {real}, naive_mase {real}, naive_bias_rate {real}, band_coverage_rate {real},
  censored_days_count {count}, history_days_count {count}
){strict}
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in (FEED[dialect] + ";" + OWN.format(**TYPES[dialect])).split(";"):
        op.execute(statement)
    epoch = sa.text("INSERT INTO feed_epoch VALUES (:epoch, 0)" if dialect == "sqlite" else "INSERT INTO feed.epoch VALUES (:epoch, '0')")
    op.get_bind().execute(epoch, {"epoch": uuid.uuid4().hex})
