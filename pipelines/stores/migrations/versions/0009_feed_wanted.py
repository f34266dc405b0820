"""Whether triggers are wanted on the merchant's tables: what was lost is made again, what was forbidden is not."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Where a trigger of ours stands, the feed was installed.
UPGRADE = {
    "sqlite": (
        "ALTER TABLE feed_epoch ADD COLUMN is_watching INTEGER NOT NULL DEFAULT 0",
        "UPDATE feed_epoch SET is_watching = EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'feed_*')",
    ),
    "postgresql": (
        "ALTER TABLE feed.epoch ADD COLUMN is_watching boolean NOT NULL DEFAULT false",
        "UPDATE feed.epoch SET is_watching = EXISTS (SELECT FROM pg_trigger WHERE tgname = 'ordercast_feed')",
    ),
}
TABLES = {"sqlite": "feed_epoch", "postgresql": "feed.epoch"}


def upgrade() -> None:
    for statement in UPGRADE[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    op.execute(f"ALTER TABLE {TABLES[op.get_bind().dialect.name]} DROP COLUMN is_watching")
