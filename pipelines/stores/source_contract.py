"""The tables a merchant's operational store offers, field by field; everything that reads or writes them derives from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["text", "integer", "decimal", "timestamp", "date", "boolean", "float"]

# How each kind is held. Decimals and times are text in SQLite, which has no type for them; the warehouse casts them once.
WAREHOUSE_TYPES: Final[dict[Kind, str]] = {
    "text": "VARCHAR", "integer": "BIGINT", "decimal": "DECIMAL(18, 4)", "timestamp": "TIMESTAMP",
    "date": "DATE", "boolean": "BOOLEAN", "float": "DOUBLE",
}  # fmt: skip
SQLITE_TYPES: Final[dict[Kind, str]] = {
    "text": "TEXT", "integer": "INTEGER", "decimal": "TEXT", "timestamp": "TEXT",
    "date": "TEXT", "boolean": "INTEGER", "float": "REAL",
}  # fmt: skip
POSTGRESQL_TYPES: Final[dict[Kind, str]] = {
    "text": "text", "integer": "bigint", "decimal": "numeric(18, 4)", "timestamp": "timestamptz",
    "date": "date", "boolean": "boolean", "float": "double precision",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a source table. A required field is there and never null; any other may be absent altogether."""

    name: str
    kind: Kind
    is_required: bool = False
    references: str | None = None  # "table.column" this value must be found in, where that table is present
    customer_unless: str | None = None  # "table.column": a value that is not found there is taken for a customer's id

    @property
    def warehouse_name(self) -> str:
        """The column's name in `raw`: a customer's id never enters the warehouse, its keyed hash does."""
        return "customer_key" if self.name == "customer_id" else self.name


@dataclass(frozen=True, slots=True)
class SourceTable:
    """One table of the contract. `document` is the column whose value names the business document a row belongs to."""

    name: str
    description: str
    key: tuple[str, ...]
    document: str
    fields: tuple[Field, ...]

    @property
    def required_fields(self) -> tuple[str, ...]:
        """Names of the fields without which the table is refused."""
        return tuple(field.name for field in self.fields if field.is_required)

    @property
    def customer_field(self) -> Field | None:
        """The field that holds a customer's id, or may hold one."""
        return next((field for field in self.fields if field.name == "customer_id" or field.customer_unless), None)

    def field(self, name: str) -> Field:
        """The field of this name; KeyError where there is none."""
        return next(field for field in self.fields if field.name == name) if name in self.field_names else _no_field(self.name, name)

    @property
    def field_names(self) -> tuple[str, ...]:
        """All field names in contract order."""
        return tuple(field.name for field in self.fields)


def _no_field(table: str, name: str) -> Field:
    raise KeyError(f"{table} has no field {name}")


def _table(name: str, description: str, key: str, fields: str, *, document: str | None = None) -> SourceTable:
    """Parse the compact form below: `name:kind`, `!` for required, `>table.column` for a reference, `~table.column` for a customer otherwise."""
    parsed = []
    for word in fields.split():
        known, _, customer_unless = word.partition("~")
        declaration, _, references = known.partition(">")
        field_name, _, kind = declaration.removesuffix("!").partition(":")
        parsed.append(Field(field_name, _KINDS[kind], declaration.endswith("!"), references or None, customer_unless or None))
    parsed += [Field("updated_at", "timestamp"), Field("is_deleted", "boolean")]
    keys = tuple(key.split())
    return SourceTable(name, description, keys, document or keys[0], tuple(parsed))


_KINDS: Final[dict[str, Kind]] = {
    "": "text", "int": "integer", "dec": "decimal", "ts": "timestamp", "date": "date", "bool": "boolean", "float": "float",
}  # fmt: skip

# In load order: a table stands after those it refers to.
SOURCE_TABLES: Final[dict[str, SourceTable]] = {
    table.name: table
    for table in (
        _table("locations", "Places that hold or sell stock.", "location_id",
               "location_id! name! type! time_zone! is_active:bool fulfills_online:bool holding_cost_rate:float transfer_lead_time_days:int"),
        _table("channels", "Where customers order.", "channel_id", "channel_id! name! priority:int"),
        _table("customers", "Customers, without anything that identifies a person beyond an id.", "customer_id",
               "customer_id! country created_at:ts"),
        _table("products", "What is sold and stocked.", "sku",
               "sku! title category vendor status unit_cost:dec list_price:dec currency unit_of_measure weight:float volume:float "
               "launched_at:ts discontinued_at:ts successor_sku shelf_life_days:int"),
        _table("suppliers", "Who delivers.", "supplier_id", "supplier_id! name order_minimum_amount:dec currency review_period_days:int"),
        _table("supplier_items", "What a supplier sells us, on which terms.", "supplier_id sku",
               "supplier_id!>suppliers.supplier_id sku!>products.sku lead_time_days:int! unit_cost:dec! currency min_order_qty:int order_multiple:int "
               "max_order_qty:int supplier_sku priority:int effective_from:date effective_to:date"),
        _table("orders", "Customer orders.", "order_id",
               "order_id! created_at:ts! currency! order_name approved_at:ts released_at:ts processed_at:ts cancelled_at:ts cancel_reason "
               "closed_at:ts customer_id channel_id>channels.channel_id location_id>locations.location_id ship_to_country ship_to_region "
               "financial_status fulfillment_status requested_delivery_at:ts promised_ship_at:ts promised_delivery_at:ts total_price:dec "
               "total_discounts:dec total_tax:dec total_shipping:dec presentment_currency is_test:bool"),
        _table("order_lines", "Lines of customer orders.", "order_line_id",
               "order_line_id! order_id!>orders.order_id sku!>products.sku quantity:int! unit_price:dec! total_discount:dec "
               "fulfillable_quantity:int is_gift_card:bool is_special_order:bool is_drop_ship:bool", document="order_id"),
        _table("shipments", "Parcels and pallets that left, or will.", "shipment_id",
               "shipment_id! order_id!>orders.order_id status! location_id>locations.location_id carrier service shipping_cost:dec "
               "shipped_at:ts delivered_at:ts estimated_delivery_at:ts document_error:bool"),
        _table("shipment_lines", "What each shipment held.", "shipment_id order_line_id",
               "shipment_id!>shipments.shipment_id order_line_id!>order_lines.order_line_id quantity:int!", document="shipment_id"),
        _table("order_events", "What people and systems did to an order.", "event_id",
               "event_id! order_id!>orders.order_id event_type! occurred_at:ts! actor_type actor_role station"),
        _table("returns", "Returns as customers announce them.", "return_id",
               "return_id! created_at:ts! order_id received_at:ts refunded_at:ts refund_amount:dec currency exchange_order_id match_basis"),
        _table("return_lines", "What came back and why.", "return_line_id",
               "return_line_id! return_id!>returns.return_id sku!>products.sku quantity:int! order_line_id reason_code restock_type condition",
               document="return_id"),
        _table("stock_levels", "Stock as it stands now; the shop overwrites it.", "sku location_id",
               "sku!>products.sku location_id!>locations.location_id on_hand:int! committed:int reserved:int incoming:int damaged:int version:int",
               document="sku"),
        _table("stock_movements", "Every change of stock, signed.", "movement_id",
               "movement_id! sku!>products.sku location_id!>locations.location_id quantity:int! movement_type! occurred_at:ts! reference_type reference_id"),
        _table("purchase_orders", "Orders to suppliers.", "po_id",
               "po_id! supplier_id!>suppliers.supplier_id status! created_at:ts confirmed_at:ts expected_at:ts received_at:ts currency source_rec_id"),
        _table("purchase_order_lines", "Lines of orders to suppliers.", "po_line_id",
               "po_line_id! po_id!>purchase_orders.po_id sku!>products.sku location_id!>locations.location_id ordered_qty:int! received_qty:int! "
               "unit_cost:dec expected_at:ts received_at:ts source_rec_id", document="po_id"),
        _table("transfers", "Stock on its way between locations.", "transfer_id",
               "transfer_id! from_location_id!>locations.location_id to_location_id!>locations.location_id status! shipped_at:ts expected_at:ts "
               "received_at:ts source_rec_id"),
        _table("transfer_lines", "What each transfer holds.", "transfer_id sku",
               "transfer_id!>transfers.transfer_id sku!>products.sku quantity:int!", document="transfer_id"),
        _table("reviews", "What customers said after delivery.", "review_id order_id", "review_id! order_id!>orders.order_id score:int! created_at:ts"),
        _table("payment_holds", "Orders that waited for money.", "order_id placed_at", "order_id!>orders.order_id placed_at:ts! released_at:ts outcome amount:dec"),
        _table("fx_rates", "Exchange rates by day.", "rate_date from_currency to_currency", "rate_date:date! from_currency! to_currency! rate:float!"),
        _table("rebate_agreements", "Rebates by volume.", "partner_id basis tier_from valid_from",
               "partner_id!~suppliers.supplier_id basis! tier_from:dec! rate:float! valid_from:date! valid_to:date"),
        _table("supplier_stock", "What suppliers hold; never counted as owned.", "supplier_id sku",
               "supplier_id!>suppliers.supplier_id sku!>products.sku available:int! as_of:ts"),
        _table("subscriptions", "Contracts with customers.", "customer_id started_at", "customer_id! started_at:ts! cancelled_at:ts"),
        _table("promotions", "Promotions known ahead.", "promotion_id",
               "promotion_id! sku category channel_id starts_at:ts! ends_at:ts! mechanic discount:float"),
        _table("prices", "List prices over time.", "sku channel_id valid_from", "sku!>products.sku channel_id! price:dec! currency! valid_from:ts! valid_to:ts"),
        _table("invoices", "Bills to customers.", "invoice_id", "invoice_id! order_id!>orders.order_id issued_at:ts! due_at:ts amount:dec!"),
        _table("payments", "Money that came in.", "payment_id", "payment_id! invoice_id! paid_at:ts! amount:dec!"),
        _table("experiments", "Who saw which variant.", "experiment_id unit_id", "experiment_id! unit_id!~orders.order_id variant! assigned_at:ts"),
    )
}  # fmt: skip
