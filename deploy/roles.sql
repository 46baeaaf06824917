-- Lets people and tools read the warehouse and write nothing. Run it with psql as a superuser, who names the role that
-- runs tiki and owns the tables, or as that role itself where it may create roles; again whenever you like:
--
--   psql -d crawl_data -v ON_ERROR_STOP=1 -v owner=tiki -f deploy/roles.sql
--
-- It makes a group, tiki_reader. Everybody who reads gets a login of their own in it, and sets its password
-- without it being seen (\password):
--
--   CREATE ROLE anna LOGIN IN ROLE tiki_reader;
--   ALTER ROLE anna SET default_transaction_read_only = on;
--   ALTER ROLE anna SET statement_timeout = '5min';
--   \password anna
--
-- Other names: -v reader=<group>, -v schema=<schema of the tables> (the demo's is demo).

\if :{?reader}
\else
  \set reader tiki_reader
\endif
\if :{?schema}
\else
  \set schema public
\endif
\if :{?owner}
\else
  SELECT current_user AS owner \gset
\endif

BEGIN;

SELECT format('CREATE ROLE %I NOLOGIN', :'reader')
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'reader') \gexec

SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'reader') \gexec

-- Databases that were made before PostgreSQL 15 let everybody make tables in the schema public.
REVOKE CREATE ON SCHEMA :"schema" FROM PUBLIC;
GRANT USAGE ON SCHEMA :"schema" TO :"reader";

-- What there is now, tables and views, and what later migrations will make.
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA :"schema" GRANT SELECT ON TABLES TO :"reader";

COMMIT;
