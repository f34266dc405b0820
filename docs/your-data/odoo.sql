-- Views that show an Odoo database (17, PostgreSQL) as Ordercast's source tables. Run once, as the owner of the Odoo database:
--
--     psql odoo -v ON_ERROR_STOP=1 -f odoo.sql
--
-- Nothing of Odoo's is changed. Services, sections and notes are left out; quantities are in the product's own unit.
BEGIN;
CREATE SCHEMA ordercast;
SET LOCAL search_path = ordercast, public;

CREATE VIEW ordercast.products AS
SELECT
    coalesce(nullif(trim(product.default_code), ''), 'ODOO-' || product.id) AS sku,
    coalesce(template.name ->> 'en_US', template.name ->> (SELECT jsonb_object_keys(template.name) LIMIT 1)) AS title,
    category.complete_name AS category,
    CASE WHEN product.active AND template.active THEN 'active' ELSE 'archived' END AS status,
    round(cost.value_float::numeric, 4) AS unit_cost,
    template.list_price,
    currency.name AS currency,
    template.create_date AS launched_at,
    greatest(product.write_date, template.write_date, cost.write_date) AS updated_at,
    product.id AS odoo_id,
    unit.factor AS unit_factor
FROM product_product AS product
JOIN product_template AS template ON template.id = product.product_tmpl_id
JOIN uom_uom AS unit ON unit.id = template.uom_id
LEFT JOIN product_category AS category ON category.id = template.categ_id
CROSS JOIN (SELECT id, currency_id FROM res_company ORDER BY id LIMIT 1) AS company
JOIN res_currency AS currency ON currency.id = company.currency_id
-- Costs are kept by company: in Odoo 17 as a property, from 18 on as JSON in product_product.standard_price.
LEFT JOIN ir_property AS cost
    ON cost.name = 'standard_price' AND cost.res_id = 'product.product,' || product.id AND cost.company_id = company.id
WHERE template.type = 'product';

CREATE VIEW ordercast.locations AS
SELECT
    warehouse.code AS location_id,
    warehouse.name,
    'dc' AS type,
    coalesce(partner.tz, 'UTC') AS time_zone,
    warehouse.active AS is_active,
    warehouse.write_date AS updated_at,
    warehouse.id AS odoo_id
FROM stock_warehouse AS warehouse
LEFT JOIN res_partner AS partner ON partner.id = warehouse.partner_id;

CREATE VIEW ordercast.customers AS
SELECT
    partner.id::text AS customer_id,
    country.code AS country,
    partner.create_date AS created_at,
    partner.write_date AS updated_at
FROM res_partner AS partner
LEFT JOIN res_country AS country ON country.id = partner.country_id
WHERE EXISTS (SELECT FROM sale_order WHERE sale_order.partner_id = partner.id);

CREATE VIEW ordercast.orders AS
SELECT
    sale.name AS order_id,
    sale.date_order AS created_at,
    currency.name AS currency,
    -- Odoo keeps no time of a cancellation; the last change of the order stands in for it.
    CASE WHEN sale.state = 'cancel' THEN sale.write_date END AS cancelled_at,
    sale.partner_id::text AS customer_id,
    location.location_id,
    country.code AS ship_to_country,
    sale.commitment_date AS promised_delivery_at,
    sale.amount_total AS total_price,
    sale.amount_tax AS total_tax,
    sale.write_date AS updated_at
FROM sale_order AS sale
JOIN res_currency AS currency ON currency.id = sale.currency_id
LEFT JOIN ordercast.locations AS location ON location.odoo_id = sale.warehouse_id
LEFT JOIN res_partner AS recipient ON recipient.id = sale.partner_shipping_id
LEFT JOIN res_country AS country ON country.id = recipient.country_id
-- A quotation is no order. One that was cancelled may have been either: it counts where it had been confirmed, so that stock was asked for.
WHERE
    sale.state IN ('sale', 'done')
    OR sale.state = 'cancel' AND EXISTS (SELECT FROM stock_picking WHERE stock_picking.sale_id = sale.id);

CREATE VIEW ordercast.order_lines AS
SELECT
    line.id::text AS order_line_id,
    sale.order_id,
    product.sku,
    trim_scale(round(line.product_uom_qty / unit.factor * product.unit_factor, 6)) AS quantity,
    round(line.price_unit * unit.factor / product.unit_factor, 4) AS unit_price,
    round(line.product_uom_qty * line.price_unit * coalesce(line.discount, 0) / 100, 4) AS total_discount,
    line.write_date AS updated_at
FROM sale_order_line AS line
JOIN sale_order AS head ON head.id = line.order_id
JOIN ordercast.orders AS sale ON sale.order_id = head.name
JOIN ordercast.products AS product ON product.odoo_id = line.product_id
JOIN uom_uom AS unit ON unit.id = line.product_uom
WHERE line.display_type IS NULL AND line.product_uom_qty > 0;

CREATE VIEW ordercast.shipments AS
SELECT
    picking.name AS shipment_id,
    sale.name AS order_id,
    CASE picking.state WHEN 'done' THEN 'shipped' WHEN 'cancel' THEN 'cancelled' ELSE 'open' END AS status,
    location.location_id,
    picking.date_done AS shipped_at,
    picking.write_date AS updated_at,
    picking.id AS odoo_id
FROM stock_picking AS picking
JOIN stock_picking_type AS kind ON kind.id = picking.picking_type_id AND kind.code = 'outgoing'
JOIN sale_order AS sale ON sale.id = picking.sale_id
LEFT JOIN ordercast.locations AS location ON location.odoo_id = kind.warehouse_id;

CREATE VIEW ordercast.shipment_lines AS
SELECT
    shipment.shipment_id,
    move.sale_line_id::text AS order_line_id,
    trim_scale(round(sum(move.quantity / unit.factor * product.unit_factor), 6)) AS quantity,
    max(move.write_date) AS updated_at
FROM stock_move AS move
JOIN ordercast.shipments AS shipment ON shipment.odoo_id = move.picking_id AND shipment.status = 'shipped'
JOIN ordercast.order_lines AS line ON line.order_line_id = move.sale_line_id::text
JOIN ordercast.products AS product ON product.odoo_id = move.product_id
JOIN uom_uom AS unit ON unit.id = move.product_uom
WHERE move.state = 'done'
GROUP BY shipment.shipment_id, move.sale_line_id;

CREATE VIEW ordercast.returns AS
SELECT
    picking.name AS return_id,
    picking.create_date AS created_at,
    sale.order_id,
    CASE WHEN picking.state = 'done' THEN picking.date_done END AS received_at,
    picking.write_date AS updated_at,
    picking.id AS odoo_id
FROM stock_picking AS picking
JOIN stock_picking_type AS kind ON kind.id = picking.picking_type_id AND kind.code = 'incoming'
JOIN sale_order AS head ON head.id = picking.sale_id
JOIN ordercast.orders AS sale ON sale.order_id = head.name
WHERE picking.state <> 'cancel';

CREATE VIEW ordercast.return_lines AS
SELECT
    move.id::text AS return_line_id,
    back.return_id,
    product.sku,
    trim_scale(round(CASE WHEN move.state = 'done' THEN move.quantity ELSE move.product_uom_qty END / unit.factor * product.unit_factor, 6)) AS quantity,
    move.sale_line_id::text AS order_line_id,
    move.write_date AS updated_at
FROM stock_move AS move
JOIN ordercast.returns AS back ON back.odoo_id = move.picking_id
JOIN ordercast.products AS product ON product.odoo_id = move.product_id
JOIN uom_uom AS unit ON unit.id = move.product_uom
WHERE move.state <> 'cancel';

CREATE VIEW ordercast.stock_levels AS
SELECT
    product.sku,
    location.location_id,
    trim_scale(round(sum(quant.quantity), 6)) AS on_hand,
    trim_scale(round(sum(quant.reserved_quantity), 6)) AS committed,
    max(quant.write_date) AS updated_at
FROM stock_quant AS quant
JOIN stock_location AS place ON place.id = quant.location_id AND place.usage = 'internal'
JOIN ordercast.locations AS location ON location.odoo_id = place.warehouse_id
JOIN ordercast.products AS product ON product.odoo_id = quant.product_id
GROUP BY product.sku, location.location_id;

CREATE VIEW ordercast.stock_movements AS
-- A move between two warehouses is one movement out and one in.
SELECT
    move.id || side.suffix AS movement_id,
    product.sku,
    location.location_id,
    trim_scale(round(side.sign * move.quantity / unit.factor * product.unit_factor, 6)) AS quantity,
    CASE
        WHEN other.usage = 'customer' THEN CASE side.sign WHEN 1 THEN 'customer_return' ELSE 'sale' END
        WHEN other.usage = 'supplier' THEN CASE side.sign WHEN 1 THEN 'purchase_receipt' ELSE 'supplier_return' END
        WHEN other.usage IN ('inventory', 'production') THEN 'adjustment'
        ELSE CASE side.sign WHEN 1 THEN 'transfer_in' ELSE 'transfer_out' END
    END AS movement_type,
    move.date AS occurred_at,
    move.write_date AS updated_at
FROM stock_move AS move
CROSS JOIN LATERAL (
    VALUES ('-out', -1, move.location_id, move.location_dest_id), ('-in', 1, move.location_dest_id, move.location_id)
) AS side (suffix, sign, place_id, other_id)
JOIN stock_location AS place ON place.id = side.place_id AND place.usage = 'internal'
JOIN stock_location AS other ON other.id = side.other_id
JOIN ordercast.locations AS location ON location.odoo_id = place.warehouse_id
JOIN ordercast.products AS product ON product.odoo_id = move.product_id
JOIN uom_uom AS unit ON unit.id = move.product_uom
WHERE move.state = 'done' AND NOT (other.usage = 'internal' AND other.warehouse_id IS NOT DISTINCT FROM place.warehouse_id);

CREATE VIEW ordercast.suppliers AS
SELECT
    partner.id::text AS supplier_id,
    partner.name,
    partner.write_date AS updated_at
FROM res_partner AS partner
WHERE
    EXISTS (SELECT FROM product_supplierinfo AS terms WHERE terms.partner_id = partner.id)
    OR EXISTS (SELECT FROM purchase_order AS purchase WHERE purchase.partner_id = partner.id);

CREATE VIEW ordercast.supplier_items AS
-- One line per supplier and item: the first in Odoo's own order. Terms of a template hold for all of its variants.
SELECT DISTINCT ON (terms.partner_id, product.sku)
    terms.partner_id::text AS supplier_id,
    product.sku,
    terms.delay AS lead_time_days,
    round(terms.price::numeric, 4) AS unit_cost,
    currency.name AS currency,
    trim_scale(ceil(terms.min_qty::numeric)) AS min_order_qty,
    1 AS order_multiple, -- Odoo keeps no pack with a supplier's terms
    terms.product_code AS supplier_sku,
    terms.sequence AS priority,
    terms.date_start AS effective_from,
    terms.date_end AS effective_to,
    terms.write_date AS updated_at
FROM product_supplierinfo AS terms
JOIN product_product AS variant ON variant.product_tmpl_id = terms.product_tmpl_id AND (terms.product_id IS NULL OR terms.product_id = variant.id)
JOIN ordercast.products AS product ON product.odoo_id = variant.id
JOIN res_currency AS currency ON currency.id = terms.currency_id
ORDER BY terms.partner_id, product.sku, terms.product_id NULLS LAST, terms.sequence, terms.min_qty, terms.id;

CREATE VIEW ordercast.purchase_orders AS
SELECT
    purchase.name AS po_id,
    purchase.partner_id::text AS supplier_id,
    CASE purchase.state WHEN 'cancel' THEN 'cancelled' WHEN 'purchase' THEN 'confirmed' WHEN 'done' THEN 'confirmed' ELSE 'draft' END AS status,
    purchase.date_order AS created_at,
    purchase.date_approve AS confirmed_at,
    purchase.date_planned AS expected_at,
    currency.name AS currency,
    purchase.write_date AS updated_at,
    location.location_id,
    purchase.id AS odoo_id
FROM purchase_order AS purchase
JOIN res_currency AS currency ON currency.id = purchase.currency_id
JOIN stock_picking_type AS kind ON kind.id = purchase.picking_type_id
JOIN ordercast.locations AS location ON location.odoo_id = kind.warehouse_id;

CREATE VIEW ordercast.purchase_order_lines AS
SELECT
    line.id::text AS po_line_id,
    purchase.po_id,
    product.sku,
    purchase.location_id,
    trim_scale(round(line.product_qty / unit.factor * product.unit_factor, 6)) AS ordered_qty,
    trim_scale(round(coalesce(line.qty_received, 0) / unit.factor * product.unit_factor, 6)) AS received_qty,
    round(line.price_unit * unit.factor / product.unit_factor, 4) AS unit_cost,
    line.date_planned AS expected_at,
    CASE WHEN line.qty_received >= line.product_qty THEN arrived.received_at END AS received_at,
    greatest(line.write_date, arrived.write_date) AS updated_at
FROM purchase_order_line AS line
JOIN ordercast.purchase_orders AS purchase ON purchase.odoo_id = line.order_id
JOIN ordercast.products AS product ON product.odoo_id = line.product_id
JOIN uom_uom AS unit ON unit.id = line.product_uom
LEFT JOIN (
    SELECT purchase_line_id, max(date) AS received_at, max(write_date) AS write_date FROM stock_move WHERE state = 'done' GROUP BY purchase_line_id
) AS arrived ON arrived.purchase_line_id = line.id
WHERE line.display_type IS NULL AND line.product_qty > 0;

COMMIT;
