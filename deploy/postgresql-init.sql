-- Once, on an empty data folder, as the superuser that no process of ours uses. Passwords are those of the addresses in secrets/.
\set owner `cut -d: -f3 /run/secrets/store_url_owner | cut -d@ -f1`
\set runs `cut -d: -f3 /run/secrets/store_url_runs | cut -d@ -f1`
\set pages `cut -d: -f3 /run/secrets/store_url_pages | cut -d@ -f1`
\set dagster `cut -d: -f3 /run/secrets/dagster_store_url | cut -d@ -f1`

CREATE ROLE ops_ingest NOLOGIN;
CREATE ROLE ops_recommender NOLOGIN;
CREATE ROLE ops_writer NOLOGIN;
CREATE ROLE ops_owner NOLOGIN;
CREATE ROLE ordercast LOGIN PASSWORD :'owner' IN ROLE ops_owner;
CREATE ROLE ordercast_runs LOGIN NOINHERIT PASSWORD :'runs' IN ROLE ops_ingest, ops_recommender;
CREATE ROLE ordercast_pages LOGIN NOINHERIT PASSWORD :'pages' IN ROLE ops_writer;
CREATE ROLE dagster LOGIN PASSWORD :'dagster';

CREATE DATABASE shop OWNER ordercast;
CREATE DATABASE dagster OWNER dagster;
REVOKE CONNECT ON DATABASE shop, dagster FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO ordercast_runs, ordercast_pages;
