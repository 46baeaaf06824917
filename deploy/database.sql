-- Makes the role that runs tiki and its database, as a superuser; again whenever you like:
--
--   psql -v ON_ERROR_STOP=1 -f deploy/database.sql
--
-- The role owns this database and may make others (`tiki backup verify` restores into one of its own); it has no password
-- (\password tiki gives it one), is no superuser, makes no roles, and nobody else may enter the database. Those who only
-- read: roles.sql.
--
-- Other names: -v role=<role>, -v database=<database>.

\if :{?role}
\else
  \set role tiki
\endif
\if :{?database}
\else
  \set database crawl_data
\endif

SELECT format('CREATE ROLE %I LOGIN CREATEDB NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS', :'role')
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec

SELECT format('CREATE DATABASE %I OWNER %I ENCODING ''UTF8'' TEMPLATE template0', :'database', :'role')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec

REVOKE CONNECT ON DATABASE :"database" FROM PUBLIC;
