"""Draft changes of purchase orders, and proposed reservations of scarce stock for lines of customers' orders."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {"timestamp": "TEXT", "day": "TEXT", "count": "INTEGER", "strict": " STRICT"},
    "postgresql": {"timestamp": "timestamptz", "day": "date", "count": "bigint", "strict": ""},
}

OWN = """
CREATE TABLE purchase_order_change (
  change_id TEXT NOT NULL PRIMARY KEY, rec_id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL CHECK (kind IN ('expedite', 'defer', 'cancel_po')),
  target TEXT NOT NULL CHECK (target IN ('store', 'outbox')), po_id TEXT NOT NULL, po_line_id TEXT NOT NULL, supplier_id TEXT,
  sku TEXT NOT NULL, location_id TEXT NOT NULL, ordered_qty {count} NOT NULL, qty {count} NOT NULL CHECK (qty > 0),
  from_date {day}, to_date {day}, status TEXT NOT NULL CHECK (status IN ('draft', 'done', 'closed', 'cancelled')),
  drafted_at {timestamp} NOT NULL, released_at {timestamp}, CHECK ((kind = 'cancel_po') = (to_date IS NULL))
){strict};
CREATE UNIQUE INDEX purchase_order_change_open ON purchase_order_change (po_line_id) WHERE status = 'draft';
CREATE INDEX purchase_order_change_item ON purchase_order_change (sku, location_id);
CREATE TABLE order_line_reservation (
  reservation_id TEXT NOT NULL PRIMARY KEY, rec_id TEXT NOT NULL, target TEXT NOT NULL CHECK (target IN ('store', 'outbox')),
  order_id TEXT NOT NULL, order_line_id TEXT NOT NULL, sku TEXT NOT NULL, location_id TEXT NOT NULL, open_qty {count} NOT NULL,
  qty {count} NOT NULL CHECK (qty > 0), status TEXT NOT NULL CHECK (status IN ('proposed', 'fulfilled', 'released', 'cancelled')),
  proposed_at {timestamp} NOT NULL, released_at {timestamp}, UNIQUE (rec_id, order_line_id)
){strict};
CREATE INDEX order_line_reservation_item ON order_line_reservation (sku, location_id)
"""


def upgrade() -> None:
    for statement in OWN.format(**TYPES[op.get_bind().dialect.name]).split(";"):
        op.execute(statement)


def downgrade() -> None:
    """The orders in the shop are as they were: nothing of this was ever written there."""
    op.execute("DROP TABLE order_line_reservation")
    op.execute("DROP TABLE purchase_order_change")
