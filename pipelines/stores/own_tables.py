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
    sa.Column("first_run_id", sa.Text), sa.Column("last_run_id", sa.Text), sa.Column("snoozed_until", Day),
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

policy_rule = sa.Table(
    "policy_rule", metadata,
    sa.Column("rule_id", sa.Text, primary_key=True), sa.Column("version", sa.BigInteger, primary_key=True), sa.Column("scope", sa.Text),
    sa.Column("settings", sa.Text), sa.Column("valid_from", Day), sa.Column("valid_to", Day), sa.Column("season_from", sa.Text),
    sa.Column("season_to", sa.Text), sa.Column("priority", sa.BigInteger), sa.Column("reason", sa.Text), sa.Column("preview", sa.Text),
    sa.Column("author", sa.Text), sa.Column("created_at", Timestamp), sa.Column("reverted_at", Timestamp),
    sa.Column("reverted_by", sa.Text), sa.Column("revert_reason", sa.Text),
)  # fmt: skip

operator = sa.Table(
    "operator", metadata,
    sa.Column("actor", sa.Text, primary_key=True), sa.Column("role", sa.Text), sa.Column("approve_limit", Amount),
    sa.Column("locations", sa.Text), sa.Column("suppliers", sa.Text), sa.Column("changed_at", Timestamp), sa.Column("changed_by", sa.Text),
)  # fmt: skip

operator_sign_in = sa.Table(
    "operator_sign_in", metadata,
    sa.Column("issuer", sa.Text, primary_key=True), sa.Column("subject", sa.Text, primary_key=True), sa.Column("actor", sa.Text),
    sa.Column("email", sa.Text), sa.Column("linked_at", Timestamp), sa.Column("linked_by", sa.Text),
)  # fmt: skip

decision = sa.Table(
    "decision", metadata,
    sa.Column("decision_id", sa.Text, primary_key=True), sa.Column("request_hash", sa.Text), sa.Column("actor", sa.Text),
    sa.Column("role", sa.Text), sa.Column("rec_id", sa.Text), sa.Column("rec_version", sa.BigInteger), sa.Column("action", sa.Text),
    sa.Column("qty_before", sa.BigInteger), sa.Column("qty_after", sa.BigInteger), sa.Column("reason_code", sa.Text),
    sa.Column("comment", sa.Text), sa.Column("outcome", sa.Text), sa.Column("result", sa.Text), sa.Column("decided_at", Timestamp),
)  # fmt: skip

# `at` is text in both databases: its bytes are part of the hash.
audit_log = sa.Table(
    "audit_log", metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False), sa.Column("at", sa.Text), sa.Column("actor", sa.Text),
    sa.Column("decision_id", sa.Text), sa.Column("rec_id", sa.Text), sa.Column("from_state", sa.Text), sa.Column("to_state", sa.Text),
    sa.Column("before", sa.Text), sa.Column("after", sa.Text), sa.Column("prev_hash", sa.Text), sa.Column("hash", sa.Text),
)  # fmt: skip

audit_head = sa.Table(
    "audit_head", metadata,
    sa.Column("one", sa.BigInteger, primary_key=True), sa.Column("seq", sa.BigInteger), sa.Column("hash", sa.Text),
)  # fmt: skip

stock_version = sa.Table(
    "stock_version", metadata,
    sa.Column("sku", sa.Text, primary_key=True), sa.Column("location_id", sa.Text, primary_key=True), sa.Column("version", sa.BigInteger),
)  # fmt: skip

draft_order = sa.Table(
    "draft_order", metadata,
    sa.Column("draft_id", sa.Text, primary_key=True), sa.Column("target", sa.Text), sa.Column("kind", sa.Text),
    sa.Column("group_key", sa.Text), sa.Column("supplier_id", sa.Text), sa.Column("source_location_id", sa.Text),
    sa.Column("location_id", sa.Text), sa.Column("need_by", Day), sa.Column("currency_code", sa.Text), sa.Column("status", sa.Text),
    sa.Column("drafted_at", Timestamp),
)  # fmt: skip

draft_order_line = sa.Table(
    "draft_order_line", metadata,
    sa.Column("rec_id", sa.Text, primary_key=True), sa.Column("draft_id", sa.Text), sa.Column("line_id", sa.Text),
    sa.Column("sku", sa.Text), sa.Column("location_id", sa.Text), sa.Column("qty", sa.BigInteger), sa.Column("unit_cost", Amount),
    sa.Column("expected_date", Day), sa.Column("status", sa.Text), sa.Column("drafted_at", Timestamp), sa.Column("released_at", Timestamp),
)  # fmt: skip

purchase_order_change = sa.Table(
    "purchase_order_change", metadata,
    sa.Column("change_id", sa.Text, primary_key=True), sa.Column("rec_id", sa.Text), sa.Column("kind", sa.Text),
    sa.Column("target", sa.Text), sa.Column("po_id", sa.Text), sa.Column("po_line_id", sa.Text), sa.Column("supplier_id", sa.Text),
    sa.Column("sku", sa.Text), sa.Column("location_id", sa.Text), sa.Column("ordered_qty", sa.BigInteger), sa.Column("qty", sa.BigInteger),
    sa.Column("from_date", Day), sa.Column("to_date", Day), sa.Column("status", sa.Text), sa.Column("drafted_at", Timestamp),
    sa.Column("released_at", Timestamp),
)  # fmt: skip

order_line_reservation = sa.Table(
    "order_line_reservation", metadata,
    sa.Column("reservation_id", sa.Text, primary_key=True), sa.Column("rec_id", sa.Text), sa.Column("target", sa.Text),
    sa.Column("order_id", sa.Text), sa.Column("order_line_id", sa.Text), sa.Column("sku", sa.Text), sa.Column("location_id", sa.Text),
    sa.Column("open_qty", sa.BigInteger), sa.Column("qty", sa.BigInteger), sa.Column("status", sa.Text),
    sa.Column("proposed_at", Timestamp), sa.Column("released_at", Timestamp),
)  # fmt: skip

exception = sa.Table(
    "exception", metadata,
    sa.Column("exception_id", sa.Text, primary_key=True), sa.Column("kind", sa.Text), sa.Column("rec_id", sa.Text),
    sa.Column("detail", sa.Text), sa.Column("owner", sa.Text), sa.Column("opened_at", Timestamp), sa.Column("due_at", Timestamp),
    sa.Column("resolved_at", Timestamp), sa.Column("resolution", sa.Text),
    sa.Column("rule_id", sa.Text), sa.Column("rule_version", sa.BigInteger), sa.Column("subject", sa.Text), sa.Column("title", sa.Text),
    sa.Column("severity", sa.Text), sa.Column("as_of_date", Day), sa.Column("last_seen_at", Timestamp), sa.Column("last_seen_in", sa.Text),
    sa.Column("seen_count", sa.BigInteger), sa.Column("probability", sa.Double), sa.Column("stake_amount", Amount),
    sa.Column("expected_amount", Amount), sa.Column("currency_code", sa.Text), sa.Column("basis", sa.Text), sa.Column("link", sa.Text),
    sa.Column("evidence", sa.Text), sa.Column("acknowledged_at", Timestamp), sa.Column("snoozed_until", Timestamp),
    sa.Column("resolution_code", sa.Text), sa.Column("raised_message", sa.Text), sa.Column("resolved_message", sa.Text),
    sa.Column("judged_after", Day), sa.Column("verdict", sa.Text), sa.Column("lead_days", sa.Double),
)  # fmt: skip

exception_event = sa.Table(
    "exception_event", metadata,
    sa.Column("event_id", sa.Text, primary_key=True), sa.Column("exception_id", sa.Text), sa.Column("number", sa.BigInteger),
    sa.Column("at", Timestamp), sa.Column("actor", sa.Text), sa.Column("action", sa.Text), sa.Column("from_state", sa.Text),
    sa.Column("to_state", sa.Text), sa.Column("note", sa.Text), sa.Column("facts", sa.Text), sa.Column("request_hash", sa.Text),
)  # fmt: skip

alert_rule = sa.Table(
    "alert_rule", metadata,
    sa.Column("rule_id", sa.Text, primary_key=True), sa.Column("version", sa.BigInteger, primary_key=True), sa.Column("kind", sa.Text),
    sa.Column("parameters", sa.Text), sa.Column("owner", sa.Text), sa.Column("due_hours", sa.Double), sa.Column("quiet_hours", sa.Double),
    sa.Column("severity", sa.Text), sa.Column("is_told", sa.Boolean), sa.Column("is_enabled", sa.Boolean), sa.Column("reason", sa.Text),
    sa.Column("author", sa.Text), sa.Column("created_at", Timestamp), sa.Column("reverted_at", Timestamp),
    sa.Column("reverted_by", sa.Text), sa.Column("revert_reason", sa.Text),
)  # fmt: skip

access_log = sa.Table(
    "access_log", metadata,
    sa.Column("access_id", sa.Text, primary_key=True), sa.Column("at", Timestamp), sa.Column("actor", sa.Text),
    sa.Column("action", sa.Text), sa.Column("object_type", sa.Text), sa.Column("object_id", sa.Text),
    sa.Column("rows_count", sa.BigInteger), sa.Column("filters", sa.Text),
)  # fmt: skip

page_use = sa.Table(
    "page_use", metadata,
    sa.Column("use_date", Day, primary_key=True), sa.Column("page", sa.Text, primary_key=True), sa.Column("opened_count", sa.BigInteger),
)  # fmt: skip

outbox = sa.Table(
    "outbox", metadata,
    sa.Column("idem_key", sa.Text, primary_key=True), sa.Column("decision_id", sa.Text), sa.Column("rec_id", sa.Text),
    sa.Column("number", sa.BigInteger), sa.Column("payload", sa.Text), sa.Column("state", sa.Text), sa.Column("attempts", sa.BigInteger),
    sa.Column("next_at", Timestamp), sa.Column("is_in_doubt", sa.Boolean), sa.Column("target", sa.Text), sa.Column("claim", sa.Text),
    sa.Column("last_error", sa.Text), sa.Column("created_at", Timestamp),
)  # fmt: skip

quarantine_mend = sa.Table(
    "quarantine_mend", metadata,
    sa.Column("mend_id", sa.Text, primary_key=True), sa.Column("table_name", sa.Text), sa.Column("row_key", sa.Text),
    sa.Column("field", sa.Text), sa.Column("old_value", sa.Text), sa.Column("new_value", sa.Text), sa.Column("reason", sa.Text),
    sa.Column("mended_by", sa.Text), sa.Column("mended_at", Timestamp), sa.Column("withdrawn_by", sa.Text),
    sa.Column("withdrawn_at", Timestamp),
)  # fmt: skip

publishing_acceptance = sa.Table(
    "publishing_acceptance", metadata,
    sa.Column("hold_id", sa.Text, primary_key=True), sa.Column("code", sa.Text), sa.Column("table_name", sa.Text),
    sa.Column("found", sa.Text), sa.Column("reason", sa.Text), sa.Column("accepted_by", sa.Text), sa.Column("accepted_at", Timestamp),
)  # fmt: skip

recommendation_outcome = sa.Table(
    "recommendation_outcome", metadata,
    sa.Column("rec_id", sa.Text, primary_key=True), sa.Column("decision_id", sa.Text), sa.Column("run_id", sa.Text),
    sa.Column("is_accepted", sa.Boolean), sa.Column("window_from", Day), sa.Column("window_to", Day), sa.Column("category", sa.Text),
    sa.Column("proposed_qty", sa.BigInteger), sa.Column("decided_qty", sa.BigInteger), sa.Column("received_qty", sa.BigInteger),
    sa.Column("demand_qty", sa.Double), sa.Column("lost_qty", sa.Double), sa.Column("lost_without_qty", sa.Double),
    sa.Column("lost_with_qty", sa.Double), sa.Column("averted_qty", sa.Double), sa.Column("excess_unit_days", sa.Double),
    sa.Column("averted_margin", Amount), sa.Column("excess_cost", Amount), sa.Column("value_added", Amount),
    sa.Column("currency_code", sa.Text), sa.Column("verdict", sa.Text), sa.Column("missing", sa.Text), sa.Column("data_hash", sa.Text),
    sa.Column("measured_at", Timestamp),
)  # fmt: skip
