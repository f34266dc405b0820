"""Alert rules with the defaults of a new shop, exceptions that rules raise and people settle, and messages about them in the outbox."""

import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {
        "timestamp": "TEXT", "day": "TEXT", "amount": "TEXT", "count": "INTEGER", "double": "REAL", "flag": "INTEGER", "strict": " STRICT",
    },
    "postgresql": {
        "timestamp": "timestamptz", "day": "date", "amount": "numeric(18, 4)", "count": "bigint", "double": "double precision",
        "flag": "boolean", "strict": "",
    },
}  # fmt: skip

COLUMNS = {
    "rule_id": "TEXT", "rule_version": "{count}", "subject": "TEXT", "title": "TEXT",
    "severity": "TEXT CHECK (severity IN ('low', 'medium', 'high', 'critical'))", "as_of_date": "{day}", "last_seen_at": "{timestamp}",
    "last_seen_in": "TEXT", "seen_count": "{count}", "probability": "{double} CHECK (probability BETWEEN 0 AND 1)",
    "stake_amount": "{amount}", "expected_amount": "{amount}", "currency_code": "TEXT", "basis": "TEXT", "link": "TEXT",
    "evidence": "TEXT", "acknowledged_at": "{timestamp}", "snoozed_until": "{timestamp}", "resolution_code": "TEXT",
    "raised_message": "TEXT", "resolved_message": "TEXT", "judged_after": "{day}",
    "verdict": "TEXT CHECK (verdict IN ('right', 'wrong', 'averted'))", "lead_days": "{double}",
}  # fmt: skip

OWN = """
CREATE TABLE alert_rule (
  rule_id TEXT NOT NULL, version {count} NOT NULL CHECK (version >= 1), kind TEXT NOT NULL, parameters TEXT NOT NULL,
  owner TEXT NOT NULL CHECK (owner <> ''), due_hours {double} NOT NULL CHECK (due_hours > 0),
  quiet_hours {double} NOT NULL CHECK (quiet_hours >= 0),
  severity TEXT NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')), is_told {flag} NOT NULL, is_enabled {flag} NOT NULL,
  reason TEXT NOT NULL CHECK (reason <> ''), author TEXT NOT NULL, created_at {timestamp} NOT NULL,
  reverted_at {timestamp}, reverted_by TEXT, revert_reason TEXT, PRIMARY KEY (rule_id, version),
  CHECK ((reverted_at IS NULL) = (reverted_by IS NULL) AND (reverted_at IS NULL) = (revert_reason IS NULL))
){strict};
CREATE TABLE exception_event (
  event_id TEXT NOT NULL PRIMARY KEY CHECK (event_id <> ''), exception_id TEXT NOT NULL REFERENCES exception (exception_id),
  number {count} NOT NULL, at {timestamp} NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, from_state TEXT, to_state TEXT NOT NULL,
  note TEXT, facts TEXT, request_hash TEXT, UNIQUE (exception_id, number)
){strict};
CREATE UNIQUE INDEX exception_open_subject ON exception (rule_id, subject) WHERE resolved_at IS NULL;
CREATE INDEX exception_rule ON exception (rule_id, resolved_at)
"""

# SQLite cannot drop a NOT NULL, so the outbox is made anew in both databases.
OUTBOX = """
CREATE TABLE outbox_new (
  idem_key TEXT NOT NULL PRIMARY KEY, decision_id TEXT{required}, rec_id TEXT{required}, number {count}{required}, payload TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'unknown', 'dead', 'refused', 'cancelled')),
  attempts {count} NOT NULL, next_at {timestamp} NOT NULL, is_in_doubt {flag} NOT NULL, target TEXT, claim TEXT, last_error TEXT,
  created_at {timestamp} NOT NULL, UNIQUE (rec_id, number),
  CHECK ((rec_id IS NULL) = (decision_id IS NULL) AND (rec_id IS NULL) = (number IS NULL))
){strict};
INSERT INTO outbox_new SELECT idem_key, decision_id, rec_id, number, payload, state, attempts, next_at, is_in_doubt, target, claim,
  last_error, created_at FROM outbox WHERE {kept};
DROP TABLE outbox;
ALTER TABLE outbox_new RENAME TO outbox;
CREATE INDEX outbox_due ON outbox (next_at) WHERE state IN ('pending', 'sending')
"""

GUARDS = {
    "sqlite": (
        "CREATE TRIGGER exception_event_update BEFORE UPDATE ON exception_event "
        "BEGIN SELECT RAISE(ABORT, 'exception_event is append-only'); END",
        "CREATE TRIGGER exception_event_delete BEFORE DELETE ON exception_event "
        "BEGIN SELECT RAISE(ABORT, 'exception_event is append-only'); END",
    ),
    "postgresql": (
        "CREATE TRIGGER exception_event_change BEFORE UPDATE OR DELETE ON exception_event FOR EACH ROW "
        "EXECUTE FUNCTION ordercast_append_only()",
        "CREATE TRIGGER exception_event_truncate BEFORE TRUNCATE ON exception_event FOR EACH STATEMENT "
        "EXECUTE FUNCTION ordercast_append_only()",
    ),
}

# name: kind, parameters, owner, hours until due, quiet hours, severity, whether the channel is told
DEFAULTS = {
    "run-failed": ("run_failed", {}, "operations", 4, 0, "critical", True),
    "data-late": ("data_late", {}, "operations", 8, 0, "high", True),
    "forecast-drift": ("forecast_drift", {}, "planning", 48, 36, "high", True),
    "stock-out": ("stock_out", {}, "purchasing", 24, 36, "high", False),
    "order-jeopardy": ("order_jeopardy", {}, "fulfilment", 24, 36, "high", False),
    "supplier-late": ("supplier_late", {}, "purchasing", 72, 36, "medium", False),
    "return-spike": ("return_spike", {}, "returns", 72, 36, "medium", False),
    "unit-fill-low": ("threshold", {"metric": "unit_fill_rate", "days": 7, "least_rows": 50}, "fulfilment", 72, 36, "medium", False),
    "sales-unusual": ("anomaly", {"metric": "net_sales_by_order_date"}, "operations", 24, 36, "high", True),
    "cancellations-up": (
        "change", {"metric": "cancellation_rate", "days": 14, "rise": 0.5, "least_rows": 100}, "fulfilment", 72, 36, "medium", False,
    ),
}  # fmt: skip
REASON = "A default of every new shop; change or disable it."


def upgrade() -> None:
    """Every store gets the default rules once, with the tables; what people make of them later is theirs."""
    conn = op.get_bind()
    types = TYPES[conn.dialect.name]
    for name, definition in COLUMNS.items():
        op.execute(f"ALTER TABLE exception ADD COLUMN {name} {definition.format(**types)}")
    for statement in (*OWN.format(**types).split(";"), *GUARDS[conn.dialect.name]):
        op.execute(statement)
    for statement in OUTBOX.format(**types, required="", kept="1 = 1").split(";"):
        op.execute(statement)
    now = datetime.now(UTC)
    at = now.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds") if conn.dialect.name == "sqlite" else now
    insert = sa.text(
        "INSERT INTO alert_rule (rule_id, version, kind, parameters, owner, due_hours, quiet_hours, severity, is_told, is_enabled, reason, "
        "author, created_at) VALUES (:rule_id, 1, :kind, :parameters, :owner, :due, :quiet, :severity, :is_told, :yes, :reason, "
        "'ordercast', :at)"
    )
    for rule_id, (kind, parameters, owner, due, quiet, severity, is_told) in DEFAULTS.items():
        values = {"kind": kind, "parameters": json.dumps(parameters), "owner": owner, "due": due, "quiet": quiet, "severity": severity}
        conn.execute(insert, values | {"rule_id": rule_id, "is_told": is_told, "yes": True, "reason": REASON, "at": at})


def downgrade() -> None:
    """What rules raised is gone with its history, and so are messages about it; exceptions of drafts stay."""
    types = TYPES[op.get_bind().dialect.name]
    for statement in OUTBOX.format(**types, required=" NOT NULL", kept="rec_id IS NOT NULL").split(";"):
        op.execute(statement)
    op.execute("DROP TABLE exception_event")
    op.execute("DROP TABLE alert_rule")
    op.execute("DROP INDEX exception_open_subject")
    op.execute("DROP INDEX exception_rule")
    op.execute("DELETE FROM exception WHERE rule_id IS NOT NULL")
    for name in COLUMNS:
        op.execute(f"ALTER TABLE exception DROP COLUMN {name}")
