"""Decisions and what they cause: who may decide, the audit log, drafts, exceptions, accesses and the outbox."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {"timestamp": "TEXT", "day": "TEXT", "amount": "TEXT", "count": "INTEGER", "strict": " STRICT"},
    "postgresql": {"timestamp": "timestamptz", "day": "date", "amount": "numeric(18, 4)", "count": "bigint", "strict": ""},
}

OWN = """
ALTER TABLE recommendation ADD COLUMN snoozed_until {day};
CREATE TABLE operator (
  actor TEXT NOT NULL PRIMARY KEY CHECK (actor <> ''), role TEXT NOT NULL CHECK (role IN ('viewer', 'planner', 'approver', 'admin')),
  approve_limit {amount}, locations TEXT, suppliers TEXT, changed_at {timestamp} NOT NULL, changed_by TEXT NOT NULL
){strict};
CREATE TABLE decision (
  decision_id TEXT NOT NULL PRIMARY KEY CHECK (decision_id <> ''), request_hash TEXT NOT NULL, actor TEXT NOT NULL, role TEXT,
  rec_id TEXT NOT NULL, rec_version {count} NOT NULL, action TEXT NOT NULL, qty_before {count}, qty_after {count}, reason_code TEXT,
  comment TEXT, outcome TEXT, result TEXT, decided_at {timestamp} NOT NULL
){strict};
CREATE INDEX decision_rec ON decision (rec_id);
CREATE TABLE audit_log (
  seq {count} NOT NULL PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, decision_id TEXT, rec_id TEXT, from_state TEXT, to_state TEXT,
  before TEXT NOT NULL, after TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL UNIQUE
){strict};
CREATE INDEX audit_log_rec ON audit_log (rec_id);
CREATE TABLE audit_head (one {count} NOT NULL PRIMARY KEY CHECK (one = 1), seq {count} NOT NULL, hash TEXT NOT NULL){strict};
INSERT INTO audit_head VALUES (1, 0, '');
CREATE TABLE stock_version (
  sku TEXT NOT NULL, location_id TEXT NOT NULL, version {count} NOT NULL, PRIMARY KEY (sku, location_id)
){strict};
CREATE TABLE draft_order (
  draft_id TEXT NOT NULL PRIMARY KEY, target TEXT NOT NULL CHECK (target IN ('source', 'outbox')),
  kind TEXT NOT NULL CHECK (kind IN ('purchase', 'transfer')), group_key TEXT NOT NULL, supplier_id TEXT, source_location_id TEXT,
  location_id TEXT NOT NULL, need_by {day}, currency_code TEXT,
  status TEXT NOT NULL CHECK (status IN ('draft', 'ended')), drafted_at {timestamp} NOT NULL
){strict};
CREATE UNIQUE INDEX draft_order_open ON draft_order (group_key) WHERE status = 'draft';
CREATE TABLE draft_order_line (
  rec_id TEXT NOT NULL PRIMARY KEY, draft_id TEXT NOT NULL REFERENCES draft_order (draft_id), line_id TEXT NOT NULL, sku TEXT NOT NULL,
  location_id TEXT NOT NULL, qty {count} NOT NULL CHECK (qty > 0), unit_cost {amount}, expected_date {day},
  status TEXT NOT NULL CHECK (status IN ('draft', 'submitted', 'closed', 'cancelled')),
  drafted_at {timestamp} NOT NULL, released_at {timestamp}
){strict};
CREATE INDEX draft_order_line_item ON draft_order_line (sku, location_id);
CREATE TABLE exception (
  exception_id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, rec_id TEXT, detail TEXT NOT NULL, owner TEXT, opened_at {timestamp} NOT NULL,
  due_at {timestamp}, resolved_at {timestamp}, resolution TEXT, CHECK ((resolved_at IS NULL) = (resolution IS NULL))
){strict};
CREATE UNIQUE INDEX exception_open ON exception (kind, rec_id) WHERE resolved_at IS NULL;
CREATE TABLE access_log (
  access_id TEXT NOT NULL PRIMARY KEY, at {timestamp} NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, object_type TEXT NOT NULL,
  object_id TEXT, rows_count {count}
){strict};
CREATE TABLE outbox (
  idem_key TEXT NOT NULL PRIMARY KEY, rec_id TEXT NOT NULL, payload TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'unknown', 'dead')), attempts {count} NOT NULL, next_at {timestamp} NOT NULL,
  last_error TEXT, created_at {timestamp} NOT NULL
){strict};
CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'pending'
"""

# A decision is complete once it has its result, in the transaction that inserts it; from then on it never changes.
GUARDS = {
    "sqlite": (
        "CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END",
        "CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END",
        "CREATE TRIGGER decision_update BEFORE UPDATE ON decision WHEN OLD.result IS NOT NULL "
        "BEGIN SELECT RAISE(ABORT, 'decision is append-only'); END",
        "CREATE TRIGGER decision_delete BEFORE DELETE ON decision BEGIN SELECT RAISE(ABORT, 'decision is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION ordercast_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END $$",
        "CREATE TRIGGER audit_log_change BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION ordercast_append_only()",
        "CREATE TRIGGER audit_log_truncate BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION ordercast_append_only()",
        "CREATE TRIGGER decision_update BEFORE UPDATE ON decision FOR EACH ROW WHEN (OLD.result IS NOT NULL) "
        "EXECUTE FUNCTION ordercast_append_only()",
        "CREATE TRIGGER decision_delete BEFORE DELETE ON decision FOR EACH ROW EXECUTE FUNCTION ordercast_append_only()",
        "CREATE TRIGGER decision_truncate BEFORE TRUNCATE ON decision FOR EACH STATEMENT EXECUTE FUNCTION ordercast_append_only()",
    ),
}
TABLES = (
    "outbox", "access_log", "exception", "draft_order_line", "draft_order", "stock_version",
    "audit_head", "audit_log", "decision", "operator",
)  # fmt: skip


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in (*OWN.format(**TYPES[dialect]).split(";"), *GUARDS[dialect]):
        op.execute(statement)


def downgrade() -> None:
    """Drafts in the shop's tables stay there; what was decided here is gone with its log."""
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION ordercast_append_only()")
    op.execute("ALTER TABLE recommendation DROP COLUMN snoozed_until")
