"""PostgreSQL: who may do what, by database roles. SQLite has none: there a reader opens the file read-only."""

from alembic import op

from pipelines.stores import grants

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# What a role may not do by a statement of its own it does through these, which hold what a grant cannot say.
FUNCTIONS = (
    """
CREATE FUNCTION feed.prune(moment timestamptz, before timestamptz) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  newest xid8;
  removed bigint;
BEGIN
  INSERT INTO feed.mark VALUES (pg_snapshot_xmin(pg_current_snapshot()), moment);
  SELECT position INTO newest FROM feed.mark WHERE marked_at <= before ORDER BY position DESC LIMIT 1;
  IF newest IS NULL THEN
    RETURN 0;
  END IF;
  UPDATE feed.epoch SET pruned_to = newest;
  DELETE FROM feed.mark WHERE position < newest;
  DELETE FROM feed.change WHERE xid < newest;
  GET DIAGNOSTICS removed = ROW_COUNT;
  RETURN removed;
END $$
""",
    """
CREATE FUNCTION ordercast_remove_draft_line(line text, item text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF item IS NULL THEN
    DELETE FROM purchase_order_lines AS l USING purchase_orders AS o, draft_order_line AS d
    WHERE l.po_line_id = line AND o.po_id = l.po_id AND lower(o.status) = 'draft' AND d.line_id = line AND d.status = 'draft';
  ELSE
    DELETE FROM transfer_lines AS l USING transfers AS o, draft_order_line AS d
    WHERE l.transfer_id = line AND l.sku = item AND o.transfer_id = line AND lower(o.status) = 'draft'
      AND d.line_id = line AND d.sku = item AND d.status = 'draft';
  END IF;
END $$
""",
    """
CREATE FUNCTION ordercast_drafts_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  is_draft boolean := true;
BEGIN
  IF TG_TABLE_NAME IN ('purchase_orders', 'transfers') THEN
    is_draft := lower(NEW.status) IN ('draft', 'cancelled');
    IF TG_OP = 'UPDATE' THEN
      is_draft := is_draft AND lower(OLD.status) = 'draft';
    END IF;
  ELSIF TG_TABLE_NAME = 'purchase_order_lines' THEN
    is_draft := EXISTS (SELECT FROM purchase_orders AS o WHERE o.po_id = NEW.po_id AND lower(o.status) = 'draft');
    IF TG_OP = 'UPDATE' AND OLD.po_id IS DISTINCT FROM NEW.po_id THEN
      -- A line of ours that was undone and marked as deleted stands on no order any more; the next approval puts it on another.
      is_draft := is_draft AND (to_jsonb(OLD) ->> 'is_deleted')::boolean AND OLD.po_line_id = NEW.po_line_id
        AND EXISTS (SELECT FROM draft_order_line AS d WHERE d.line_id = OLD.po_line_id AND d.status = 'cancelled');
    END IF;
  ELSE
    is_draft := EXISTS (SELECT FROM transfers AS o WHERE o.transfer_id = NEW.transfer_id AND lower(o.status) = 'draft');
    IF TG_OP = 'UPDATE' THEN
      is_draft := is_draft AND OLD.transfer_id = NEW.transfer_id;
    END IF;
  END IF;
  IF is_draft IS NOT TRUE THEN
    RAISE EXCEPTION 'only drafts may be written here' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$
""",
)
SIGNATURES = ("feed.prune(timestamptz, timestamptz)", "ordercast_remove_draft_line(text, text)", "ordercast_drafts_only()")


def upgrade() -> None:
    conn = op.get_bind()
    if conn.dialect.name != "postgresql":
        return
    for statement in FUNCTIONS:
        op.execute(statement)
    schema = conn.exec_driver_sql("SELECT quote_ident(current_schema())").scalar()
    for signature in SIGNATURES[1:]:
        op.execute(f"ALTER FUNCTION {signature} SET search_path = pg_catalog, {schema}, pg_temp")
    for signature in SIGNATURES:
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
    grants.create_roles(conn)  # the rights follow at the end of every migration: tables that come later have theirs too


def downgrade() -> None:
    conn = op.get_bind()
    if conn.dialect.name == "postgresql":
        grants.drop_roles(conn)
        for signature in SIGNATURES:
            op.execute(f"DROP FUNCTION {signature} CASCADE")  # its triggers on the shop's tables with it
