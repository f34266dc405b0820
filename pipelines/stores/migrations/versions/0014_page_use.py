"""How often each page is opened, by day: enough to know which are of use, and nothing about who opened them."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {"day": "TEXT", "count": "INTEGER", "strict": " STRICT"},
    "postgresql": {"day": "date", "count": "bigint", "strict": ""},
}

OWN = """
CREATE TABLE page_use (
  use_date {day} NOT NULL, page TEXT NOT NULL, opened_count {count} NOT NULL CHECK (opened_count >= 1), PRIMARY KEY (use_date, page)
){strict}
"""


def upgrade() -> None:
    op.execute(OWN.format(**TYPES[op.get_bind().dialect.name]))


def downgrade() -> None:
    op.execute("DROP TABLE page_use")
