"""Which operator somebody is who signs in: by the provider's word for them, never by an e-mail address."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TYPES = {"sqlite": {"timestamp": "TEXT", "strict": " STRICT"}, "postgresql": {"timestamp": "timestamptz", "strict": ""}}

OWN = """
CREATE TABLE operator_sign_in (
  issuer TEXT NOT NULL, subject TEXT NOT NULL, actor TEXT NOT NULL REFERENCES operator, email TEXT,
  linked_at {timestamp} NOT NULL, linked_by TEXT NOT NULL, PRIMARY KEY (issuer, subject)
){strict}
"""


def upgrade() -> None:
    op.execute(OWN.format(**TYPES[op.get_bind().dialect.name]))


def downgrade() -> None:
    op.execute("DROP TABLE operator_sign_in")
