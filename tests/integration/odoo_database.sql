-- As much of an Odoo 17 database as the views in docs/your-data/odoo.sql read, with a week of one small shop.
CREATE TABLE res_currency (id int PRIMARY KEY, name text);
CREATE TABLE res_country (id int PRIMARY KEY, code text);
CREATE TABLE res_company (id int PRIMARY KEY, currency_id int);
CREATE TABLE res_partner (id int PRIMARY KEY, name text, email text, tz text, country_id int, create_date timestamp DEFAULT '2026-01-05', write_date timestamp DEFAULT '2026-01-05');
CREATE TABLE uom_uom (id int PRIMARY KEY, name jsonb, factor numeric);
CREATE TABLE product_category (id int PRIMARY KEY, complete_name text);
CREATE TABLE product_template (
    id int PRIMARY KEY, name jsonb, categ_id int, list_price numeric, type text, active boolean DEFAULT true, uom_id int DEFAULT 1,
    create_date timestamp DEFAULT '2026-01-05', write_date timestamp DEFAULT '2026-01-05'
);
CREATE TABLE product_product (id int PRIMARY KEY, product_tmpl_id int, default_code text, active boolean DEFAULT true, write_date timestamp DEFAULT '2026-01-05');
CREATE TABLE ir_property (id serial, name text, res_id text, company_id int, value_float double precision, write_date timestamp DEFAULT '2026-01-05');
CREATE TABLE stock_warehouse (id int PRIMARY KEY, name text, code text, partner_id int, active boolean DEFAULT true, write_date timestamp DEFAULT '2026-01-05');
CREATE TABLE stock_location (id int PRIMARY KEY, usage text, warehouse_id int);
CREATE TABLE stock_picking_type (id int PRIMARY KEY, code text, warehouse_id int);
CREATE TABLE sale_order (
    id int PRIMARY KEY, name text, state text, date_order timestamp, commitment_date timestamp, currency_id int DEFAULT 1, partner_id int,
    partner_shipping_id int, warehouse_id int DEFAULT 1, amount_total numeric, amount_tax numeric DEFAULT 0, write_date timestamp DEFAULT '2026-11-09'
);
CREATE TABLE sale_order_line (
    id int PRIMARY KEY, order_id int, product_id int, product_uom int DEFAULT 1, product_uom_qty numeric, price_unit numeric, discount numeric,
    display_type text, write_date timestamp DEFAULT '2026-11-09'
);
CREATE TABLE stock_picking (
    id int PRIMARY KEY, name text, state text, picking_type_id int, sale_id int, date_done timestamp, create_date timestamp DEFAULT '2026-11-09',
    write_date timestamp DEFAULT '2026-11-09'
);
CREATE TABLE stock_move (
    id int PRIMARY KEY, picking_id int, product_id int, product_uom int DEFAULT 1, product_uom_qty numeric, quantity numeric, state text,
    sale_line_id int, purchase_line_id int, location_id int, location_dest_id int, date timestamp, write_date timestamp DEFAULT '2026-11-09'
);
CREATE TABLE stock_quant (id serial, product_id int, location_id int, quantity numeric, reserved_quantity numeric, write_date timestamp DEFAULT '2026-11-09');
CREATE TABLE product_supplierinfo (
    id int PRIMARY KEY, partner_id int, product_tmpl_id int, product_id int, product_code text, min_qty numeric, price numeric, currency_id int DEFAULT 1,
    delay int, sequence int, date_start date, date_end date, write_date timestamp DEFAULT '2026-01-05'
);
CREATE TABLE purchase_order (
    id int PRIMARY KEY, name text, state text, partner_id int, date_order timestamp, date_approve timestamp, date_planned timestamp,
    currency_id int DEFAULT 1, picking_type_id int, write_date timestamp DEFAULT '2026-11-09'
);
CREATE TABLE purchase_order_line (
    id int PRIMARY KEY, order_id int, product_id int, product_uom int DEFAULT 1, product_qty numeric, qty_received numeric, price_unit numeric,
    date_planned timestamp, display_type text, write_date timestamp DEFAULT '2026-11-09'
);

INSERT INTO res_currency VALUES (1, 'EUR');
INSERT INTO res_country VALUES (1, 'BE'), (2, 'NL');
INSERT INTO res_company VALUES (1, 1);
INSERT INTO res_partner (id, name, email, tz, country_id) VALUES
    (1, 'Own company', NULL, 'Europe/Brussels', 1), (2, 'A customer', 'someone@example.org', NULL, 1), (3, 'Another', NULL, NULL, 2), (9, 'Mug works', NULL, NULL, 2);
INSERT INTO uom_uom VALUES (1, '{"en_US": "Units"}', 1), (2, '{"en_US": "Dozens"}', 0.083333333333333333); -- a twelfth
INSERT INTO product_category VALUES (1, 'All / Kitchen');
INSERT INTO product_template (id, name, categ_id, list_price, type) VALUES
    (1, '{"en_US": "Mug"}', 1, 9.5, 'product'), (2, '{"nl_NL": "Bord"}', 1, 14, 'product'), (3, '{"en_US": "Delivery"}', 1, 5, 'service');
INSERT INTO product_product (id, product_tmpl_id, default_code) VALUES (11, 1, 'MUG-RED'), (12, 1, 'MUG-BLUE'), (13, 2, NULL), (14, 3, 'DELIVERY');
INSERT INTO ir_property (name, res_id, company_id, value_float) VALUES ('standard_price', 'product.product,11', 1, 4.2);
INSERT INTO stock_warehouse (id, name, code, partner_id) VALUES (1, 'Main', 'WH', 1), (2, 'Second', 'WH2', NULL);
INSERT INTO stock_location VALUES (1, 'internal', 1), (2, 'internal', 1), (3, 'customer', NULL), (4, 'supplier', NULL), (5, 'internal', 2), (6, 'inventory', NULL);
INSERT INTO stock_picking_type VALUES (1, 'outgoing', 1), (2, 'incoming', 1), (3, 'internal', 1);
INSERT INTO sale_order (id, name, state, date_order, commitment_date, partner_id, partner_shipping_id, amount_total) VALUES
    (1, 'S00001', 'sale', '2026-11-02 09:00', '2026-11-05 12:00', 2, 2, 123), (2, 'S00002', 'draft', '2026-11-03 09:00', NULL, 2, 2, 1),
    (3, 'S00003', 'sale', '2026-11-04 09:00', NULL, 3, 3, 28), (4, 'S00004', 'cancel', '2026-11-05 09:00', NULL, 3, 3, 9.5),
    (5, 'S00005', 'cancel', '2026-11-05 10:00', NULL, 3, 3, 9.5);
INSERT INTO sale_order_line (id, order_id, product_id, product_uom, product_uom_qty, price_unit, discount, display_type) VALUES
    (1, 1, 11, 2, 1, 114, 10, NULL), (2, 1, 14, 1, 1, 5, 0, NULL), (3, 1, NULL, NULL, 0, 0, 0, 'line_note'),
    (4, 2, 11, 1, 3, 9.5, 0, NULL), (5, 3, 13, 1, 2, 14, 0, NULL), (6, 4, 11, 1, 1, 9.5, 0, NULL), (7, 5, 11, 1, 1, 9.5, 0, NULL);
INSERT INTO stock_picking (id, name, state, picking_type_id, sale_id, date_done) VALUES
    (1, 'WH/OUT/1', 'done', 1, 1, '2026-11-04 15:00'), (2, 'WH/OUT/2', 'assigned', 1, 3, NULL), (3, 'WH/OUT/3', 'cancel', 1, 4, NULL),
    (4, 'WH/IN/1', 'done', 2, 1, '2026-11-08 10:00'), (5, 'WH/IN/2', 'done', 2, NULL, '2026-11-06 10:00');
INSERT INTO purchase_order (id, name, state, partner_id, date_order, date_approve, date_planned, picking_type_id) VALUES
    (1, 'P00001', 'purchase', 9, '2026-10-20', '2026-10-21', '2026-11-06', 2), (2, 'P00002', 'draft', 9, '2026-11-06', NULL, '2026-11-20', 2);
INSERT INTO purchase_order_line (id, order_id, product_id, product_uom, product_qty, qty_received, price_unit, date_planned) VALUES
    (1, 1, 11, 2, 5, 4, 48, '2026-11-06'), (2, 2, 13, 1, 20, 0, 6, '2026-11-20');
INSERT INTO stock_move (id, picking_id, product_id, product_uom, product_uom_qty, quantity, state, sale_line_id, purchase_line_id, location_id, location_dest_id, date) VALUES
    (1, 1, 11, 2, 1, 1, 'done', 1, NULL, 1, 3, '2026-11-04 15:00'), (2, 2, 13, 1, 2, 0, 'assigned', 5, NULL, 1, 3, '2026-11-09'),
    (3, 4, 11, 1, 2, 2, 'done', 1, NULL, 3, 1, '2026-11-08 10:00'), (4, 5, 11, 2, 4, 4, 'done', NULL, 1, 4, 1, '2026-11-06 10:00'),
    (5, NULL, 11, 1, 6, 6, 'done', NULL, NULL, 1, 5, '2026-11-07 10:00'), (6, NULL, 11, 1, 6, 6, 'done', NULL, NULL, 1, 2, '2026-11-07 11:00');
INSERT INTO stock_quant (product_id, location_id, quantity, reserved_quantity) VALUES
    (11, 1, 24, 0), (11, 2, 6, 0), (11, 5, 6, 0), (13, 1, 3, 2), (11, 3, 10, 0);
INSERT INTO product_supplierinfo (id, partner_id, product_tmpl_id, product_id, product_code, min_qty, price, delay, sequence) VALUES
    (1, 9, 1, NULL, 'M-1', 12, 4, 14, 1), (2, 9, 1, 12, 'M-1B', 24, 3.9, 21, 1), (3, 9, 1, NULL, 'M-1', 144, 3.5, 14, 1), (4, 9, 2, NULL, NULL, 0, 6, 10, 1);
