"""The tables this project owns in the operational store, as queries see them; `migrations/` creates them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa


class Timestamp(sa.types.TypeDecorator[datetime]):
    """A UTC time without zone in Python; text in SQLite, timestamptz in PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The type in this database."""
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """Towards the database."""
        if value is None:
            return None
        naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return naive.isoformat(sep=" ", timespec="microseconds") if dialect.name == "sqlite" else naive.replace(tzinfo=UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return datetime.fromisoformat(value) if dialect.name == "sqlite" else value.astimezone(UTC).replace(tzinfo=None)


class Day(sa.types.TypeDecorator[date]):
    """A calendar day; text in SQLite, date in PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The type in this database."""
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.Date())

    def process_bind_param(self, value: date | None, dialect: sa.Dialect) -> Any:
        """Towards the database."""
        return value.isoformat() if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> date | None:
        """From the database."""
        return date.fromisoformat(value) if value is not None and dialect.name == "sqlite" else value


class Amount(sa.types.TypeDecorator[Decimal]):
    """Money with four decimals, beside a `currency_code`; text in SQLite, numeric in PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The type in this database."""
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.Numeric(18, 4))

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> Any:
        """Towards the database."""
        return f"{value:.4f}" if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy's signature
        """From the database."""
        return None if value is None else Decimal(value)


metadata = sa.MetaData()

merchant = sa.Table(
    "merchant", metadata,
    sa.Column("merchant_id", sa.Text, primary_key=True), sa.Column("name", sa.Text), sa.Column("reporting_time_zone", sa.Text),
    sa.Column("currency_code", sa.Text), sa.Column("origin", sa.Text), sa.Column("as_of_date", Day), sa.Column("data_until", Timestamp),
)  # fmt: skip

recommendation_run = sa.Table(
    "recommendation_run", metadata,
    sa.Column("run_id", sa.Text, primary_key=True), sa.Column("as_of_date", Day), sa.Column("release_id", sa.Text),
    sa.Column("code_version", sa.Text), sa.Column("config_hash", sa.Text), sa.Column("seed", sa.BigInteger),
    sa.Column("gate_status", sa.Text), sa.Column("counts", sa.Text), sa.Column("proposed_at", Timestamp),
)  # fmt: skip

recommendation = sa.Table(
    "recommendation", metadata,
    sa.Column("rec_id", sa.Text, primary_key=True), sa.Column("recommendation_key", sa.Text), sa.Column("kind", sa.Text),
    sa.Column("sku", sa.Text), sa.Column("location_id", sa.Text), sa.Column("source_location_id", sa.Text),
    sa.Column("supplier_id", sa.Text),
    sa.Column("raw_qty", sa.BigInteger), sa.Column("recommended_qty", sa.BigInteger), sa.Column("unit_cost", Amount),
    sa.Column("currency_code", sa.Text), sa.Column("order_by", Day), sa.Column("need_by", Day), sa.Column("expected_receipt", Day),
    sa.Column("priority_score", sa.Double), sa.Column("p_stockout_if_ignored", sa.Double), sa.Column("cost_if_ignored_p50", Amount),
    sa.Column("cost_if_ignored_p90", Amount), sa.Column("cost_if_accepted", Amount), sa.Column("binding_constraint", sa.Text),
    sa.Column("reason", sa.Text), sa.Column("policy_version", sa.Text), sa.Column("basis", sa.Text),
    sa.Column("basis_version", sa.BigInteger),
    sa.Column("expires_at", Timestamp), sa.Column("status", sa.Text), sa.Column("version", sa.BigInteger),
    sa.Column("first_run_id", sa.Text), sa.Column("last_run_id", sa.Text),
)  # fmt: skip

recommendation_explanation = sa.Table(
    "recommendation_explanation", metadata,
    sa.Column("rec_id", sa.Text, primary_key=True), sa.Column("step_number", sa.BigInteger, primary_key=True),
    sa.Column("step", sa.Text), sa.Column("qty", sa.Double), sa.Column("note", sa.Text),
)  # fmt: skip

recommendation_evidence = sa.Table(
    "recommendation_evidence", metadata,
    sa.Column("rec_id", sa.Text, primary_key=True), sa.Column("model", sa.Text), sa.Column("fallback_reason", sa.Text),
    sa.Column("windows_count", sa.BigInteger), sa.Column("horizon_days", sa.BigInteger), sa.Column("wape_rate", sa.Double),
    sa.Column("mase", sa.Double), sa.Column("bias_rate", sa.Double), sa.Column("naive_wape_rate", sa.Double),
    sa.Column("naive_mase", sa.Double),
    sa.Column("naive_bias_rate", sa.Double), sa.Column("band_coverage_rate", sa.Double), sa.Column("censored_days_count", sa.BigInteger),
    sa.Column("history_days_count", sa.BigInteger), sa.Column("backtest_date", Day),
)  # fmt: skip

metric_target = sa.Table(
    "metric_target", metadata,
    sa.Column("target_id", sa.Text, primary_key=True), sa.Column("metric", sa.Text), sa.Column("dimension", sa.Text),
    sa.Column("member", sa.Text), sa.Column("valid_from", Day), sa.Column("valid_to", Day), sa.Column("target", sa.Double),
    sa.Column("watch_band", sa.Double), sa.Column("direction", sa.Text), sa.Column("author", sa.Text), sa.Column("created_at", Timestamp),
)  # fmt: skip

metric_baseline = sa.Table(
    "metric_baseline", metadata,
    sa.Column("name", sa.Text, primary_key=True), sa.Column("metric", sa.Text, primary_key=True), sa.Column("value", sa.Double),
    sa.Column("numerator", sa.Double), sa.Column("denominator", sa.Double), sa.Column("n", sa.BigInteger), sa.Column("unit", sa.Text),
    sa.Column("currency_code", sa.Text), sa.Column("period_from", Day), sa.Column("period_to", Day),
    sa.Column("release_id", sa.Text), sa.Column("as_of_date", Day), sa.Column("frozen_at", Timestamp),
)  # fmt: skip

forecast_override = sa.Table(
    "forecast_override", metadata,
    sa.Column("override_id", sa.Text, primary_key=True), sa.Column("sku", sa.Text), sa.Column("location_id", sa.Text),
    sa.Column("from_date", Day), sa.Column("to_date", Day), sa.Column("kind", sa.Text), sa.Column("value", sa.Double),
    sa.Column("reason", sa.Text), sa.Column("author", sa.Text), sa.Column("created_at", Timestamp),
    sa.Column("withdrawn_at", Timestamp), sa.Column("withdrawn_by", sa.Text),
)  # fmt: skip
