//! What is in a schema of PostgreSQL when a backup takes its place: moved aside, and its owners and rights
//! given to what comes after it.
//!
//! Not here: when that happens (`postgres`).

use tokio_postgres::Client;

use super::error::BackupError;
use super::postgres::{batch, texts};
use crate::error::Result;

/// Things outside the schema that are named at most.
const OUTSIDE_MAX: usize = 100;

/// The statements that move everything of a schema to another.
pub(super) async fn moves(client: &Client, schema: &str, kept: &str) -> Result<Vec<String>> {
    texts(client, &filled(MOVES, schema, kept)).await
}

/// Refuses a schema in which anything is left after that: the backup may bring it along, too.
pub(super) async fn refuse_left(client: &Client, schema: &str) -> Result<()> {
    let left = texts(client, &filled(LEFT, schema, "")).await?;
    if left.is_empty() {
        return Ok(());
    }
    Err(BackupError::Refused {
        what: format!(
            "in schema {schema} is what no restore moves aside: {}",
            left.join(", ")
        ),
        help: "move it to another schema (ALTER … SET SCHEMA) or drop it; nothing was changed",
    }
    .into())
}

/// What lies outside the schema and reads what is in it, the one or the other way: after a restore it reads what
/// was moved aside.
pub(super) async fn outside(client: &Client, schema: &str) -> Result<Vec<String>> {
    let mut found = texts(client, &filled(OUTSIDE, schema, "")).await?;
    found.truncate(OUTSIDE_MAX);
    Ok(found)
}

/// Owners and rights of what was moved aside, for what has its name now: whoever might read or write the one may
/// do so with the other.
pub(super) async fn give_back(client: &Client, schema: &str, kept: &str) -> Result<()> {
    for sql in [OWNERS, RIGHTS] {
        for statement in texts(client, &filled(sql, schema, kept)).await? {
            batch(client, &statement).await?;
        }
    }
    Ok(())
}

fn filled(sql: &str, schema: &str, kept: &str) -> String {
    sql.replace("{schema}", schema).replace("{kept}", kept)
}

/// Everything in the schema that is nobody else's part: not of an extension, not a column's sequence. Routines
/// come first: tables and types may be in their arguments.
const MOVES: &str = "SELECT format('ALTER ROUTINE %I.%I(%s) SET SCHEMA %I', n.nspname, p.proname,
        pg_get_function_identity_arguments(p.oid), '{kept}')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = '{schema}' AND NOT EXISTS (SELECT 1 FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT format('ALTER %s %I.%I SET SCHEMA %I',
        CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
            WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, n.nspname, c.relname, '{kept}')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = '{schema}' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
            AND d.objid = c.oid AND (d.deptype = 'e' OR (c.relkind = 'S' AND d.deptype IN ('a', 'i'))))
    UNION ALL
    SELECT format('ALTER TYPE %I.%I SET SCHEMA %I', n.nspname, t.typname, '{kept}')
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE n.nspname = '{schema}' AND (t.typtype IN ('e', 'd', 'r', 'm') OR c.relkind = 'c')
        AND NOT EXISTS (SELECT 1 FROM pg_depend d
            WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
    UNION ALL
    SELECT format('ALTER STATISTICS %I.%I SET SCHEMA %I', n.nspname, s.stxname, '{kept}')
    FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
    WHERE n.nspname = '{schema}'";

/// What lies in the schema and is of no extension.
const LEFT: &str = "SELECT pg_describe_object(d.classid, d.objid, 0) FROM pg_depend d
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.deptype = 'n'
        AND d.refobjid = (SELECT oid FROM pg_namespace WHERE nspname = '{schema}')
        AND d.classid <> 'pg_extension'::regclass
        AND NOT EXISTS (SELECT 1 FROM pg_depend e
            WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e')
    ORDER BY 1";

const OUTSIDE: &str = "WITH own AS (SELECT oid FROM pg_namespace WHERE nspname = '{schema}'),
    ours AS (
        SELECT 'pg_class'::regclass AS class, c.oid FROM pg_class c JOIN own ON c.relnamespace = own.oid
        UNION ALL
        SELECT 'pg_proc'::regclass, p.oid FROM pg_proc p JOIN own ON p.pronamespace = own.oid
        UNION ALL
        SELECT 'pg_type'::regclass, t.oid FROM pg_type t JOIN own ON t.typnamespace = own.oid),
    found AS (SELECT DISTINCT d.classid, d.objid
        FROM pg_depend d JOIN ours ON d.refclassid = ours.class AND d.refobjid = ours.oid
        WHERE NOT EXISTS (SELECT 1 FROM pg_depend e
            WHERE e.classid = ours.class AND e.objid = ours.oid AND e.deptype = 'e')),
    dependants AS (
        SELECT CASE c.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END AS kind,
            c.relnamespace AS place, c.relname AS name
        FROM found f JOIN pg_rewrite r ON f.classid = 'pg_rewrite'::regclass AND r.oid = f.objid
        JOIN pg_class c ON c.oid = r.ev_class
        UNION
        SELECT format('%s %I of ', CASE k.contype WHEN 'f' THEN 'foreign key' ELSE 'constraint' END, k.conname),
            c.relnamespace, c.relname
        FROM found f JOIN pg_constraint k ON f.classid = 'pg_constraint'::regclass AND k.oid = f.objid
        JOIN pg_class c ON c.oid = k.conrelid
        UNION
        SELECT 'default of a column of ', c.relnamespace, c.relname
        FROM found f JOIN pg_attrdef a ON f.classid = 'pg_attrdef'::regclass AND a.oid = f.objid
        JOIN pg_class c ON c.oid = a.adrelid
        UNION
        SELECT format('trigger %I of ', t.tgname), c.relnamespace, c.relname
        FROM found f JOIN pg_trigger t ON f.classid = 'pg_trigger'::regclass AND t.oid = f.objid
        JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
        UNION
        SELECT format('policy %I of ', p.polname), c.relnamespace, c.relname
        FROM found f JOIN pg_policy p ON f.classid = 'pg_policy'::regclass AND p.oid = f.objid
        JOIN pg_class c ON c.oid = p.polrelid
        UNION
        SELECT 'index ', c.relnamespace, c.relname
        FROM found f JOIN pg_class c ON f.classid = 'pg_class'::regclass AND c.oid = f.objid
        WHERE c.relkind IN ('i', 'I')
        UNION
        SELECT 'table ', c.relnamespace, c.relname
        FROM found f JOIN pg_class c ON f.classid = 'pg_class'::regclass AND c.oid = f.objid
        WHERE c.relkind IN ('r', 'p', 'f')
        UNION
        SELECT 'routine ', p.pronamespace, p.proname
        FROM found f JOIN pg_proc p ON f.classid = 'pg_proc'::regclass AND p.oid = f.objid)
    SELECT kind || format('%I.%I', n.nspname, d.name)
    FROM dependants d JOIN pg_namespace n ON n.oid = d.place
    WHERE n.nspname <> '{schema}' ORDER BY 1";

/// Owners of before, where the one who restores may give to them. What is new has the owner of the warehouse.
const OWNERS: &str = "WITH own AS (SELECT oid FROM pg_namespace WHERE nspname = '{schema}'),
    old AS (SELECT oid FROM pg_namespace WHERE nspname = '{kept}'),
    usual AS (SELECT c.relowner AS id FROM pg_class c JOIN old ON c.relnamespace = old.oid
        WHERE c.relname = 'schema_migrations'),
    owners AS (SELECT r.oid, r.rolname FROM pg_roles r WHERE current_setting('is_superuser') = 'on'
        OR (pg_has_role(r.oid, 'MEMBER') AND has_schema_privilege(r.oid, '{schema}', 'CREATE')))
    SELECT format('ALTER TABLE %I.%I OWNER TO %I', '{schema}', c.relname, r.rolname)
    FROM pg_class c JOIN own ON c.relnamespace = own.oid
    LEFT JOIN (SELECT b.* FROM pg_class b JOIN old ON b.relnamespace = old.oid) o
        ON o.relname = c.relname AND o.relkind = c.relkind
    JOIN owners r ON r.oid = COALESCE(o.relowner, (SELECT id FROM usual))
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relowner <> r.oid
        AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
            AND d.objid = c.oid AND (d.deptype = 'e' OR (c.relkind = 'S' AND d.deptype IN ('a', 'i'))))
    UNION ALL
    SELECT format('ALTER ROUTINE %I.%I(%s) OWNER TO %I', '{schema}', p.proname,
        pg_get_function_identity_arguments(p.oid), r.rolname)
    FROM pg_proc p JOIN own ON p.pronamespace = own.oid
    LEFT JOIN (SELECT b.* FROM pg_proc b JOIN old ON b.pronamespace = old.oid) o ON o.proname = p.proname
        AND pg_get_function_identity_arguments(o.oid) = pg_get_function_identity_arguments(p.oid)
    JOIN owners r ON r.oid = COALESCE(o.proowner, (SELECT id FROM usual))
    WHERE p.proowner <> r.oid AND NOT EXISTS (SELECT 1 FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
    UNION ALL
    SELECT format('ALTER TYPE %I.%I OWNER TO %I', '{schema}', t.typname, r.rolname)
    FROM pg_type t JOIN own ON t.typnamespace = own.oid LEFT JOIN pg_class c ON c.oid = t.typrelid
    LEFT JOIN (SELECT b.* FROM pg_type b JOIN old ON b.typnamespace = old.oid) o ON o.typname = t.typname
    JOIN owners r ON r.oid = COALESCE(o.typowner, (SELECT id FROM usual))
    WHERE (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c') AND t.typowner <> r.oid
        AND NOT EXISTS (SELECT 1 FROM pg_depend d
            WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')";

/// The rights of others on relations and columns of before, for those of the same name.
const RIGHTS: &str = "WITH pairs AS (
        SELECT o.oid AS old, c.oid AS new, o.relname, o.relkind, o.relacl, o.relowner
        FROM pg_class o JOIN pg_class c ON c.relname = o.relname AND c.relkind = o.relkind
        WHERE o.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = '{kept}')
            AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = '{schema}')
            AND o.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')),
    rights AS (
        SELECT p.*, '' AS columns, a.privilege_type, a.grantee, a.is_grantable
        FROM pairs p CROSS JOIN LATERAL aclexplode(p.relacl) a
        UNION ALL
        SELECT p.*, format(' (%I)', t.attname), a.privilege_type, a.grantee, a.is_grantable
        FROM pairs p JOIN pg_attribute t ON t.attrelid = p.old
        JOIN pg_attribute n ON n.attrelid = p.new AND n.attname = t.attname AND NOT n.attisdropped
        CROSS JOIN LATERAL aclexplode(t.attacl) a)
    SELECT format('GRANT %s%s ON %s %I.%I TO %s%s', privilege_type, columns,
        CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, '{schema}', relname,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM rights WHERE grantee <> relowner";
