"""Loads a day's products as a Python program would: psycopg 3, the same tables, the same laws.

usage: peers.py copy|rows <source url> <target url> <look, as an instant> <rows> <rows a batch>

The rows are read from the `products` of the source before the clock starts; they carry every computed
column, so this program computes nothing but what has changed. Prints the seconds.

copy: stages the rows by COPY, a transaction a batch, as one step hands them to the next; then merges what is
staged by set-wise INSERT ... ON CONFLICT, a transaction a batch, and takes it away.
rows: a SELECT and upserts for every product, a transaction a batch; nothing is staged.

Not here: late, gone or conflicting looks; a derivation; a lease; what became of each product; the claims of
workers side by side.
"""

import sys
import time

import psycopg

VALUES = [
    "price", "original_price", "discount_percent", "sales_count", "rating_average", "review_count",
    "seller_id", "spid", "stock_status", "stock_quantity",
]
SAID = VALUES[:9]
# The hashes are of all else that a person sees.
CONTENT = [*VALUES, "identity_hash", "details_hash"]
PRICE = ["price", "original_price", "discount_percent"]
SALES = ["sales_count", "rating_average", "review_count"]

HISTORY_COLUMNS = ["product_id", "observed_at", "kind", "changed", *SAID, "previous_price",
                   "price_change", "price_change_percent"]
LOOK_COLUMNS = ["product_id", "observed_at", "source", "gone", "run_id", "derivation", *VALUES]


def differs(columns, one, other):
    return "(" + " OR ".join(f"{one}.{c} IS DISTINCT FROM {other}.{c}" for c in columns) + ")"


def copy(connection, columns, types, rows, look, batch):
    """Set-wise: the laws as a plain SQL prototype writes them."""
    connection.execute("CREATE TABLE IF NOT EXISTS staged (batch int NOT NULL, LIKE products)")
    connection.execute("CREATE INDEX IF NOT EXISTS staged_batch ON staged (batch)")
    connection.commit()
    names = ", ".join(columns)
    kept = [c for c in columns if c not in ("id", "created_at")]
    updates = ", ".join(f"{c} = excluded.{c}" for c in kept)
    kinds = "concat_ws(',', " + ", ".join(
        f"CASE WHEN {differs(of, 's', 'p')} THEN '{kind}' END"
        for kind, of in [("price", PRICE), ("seller", ["seller_id"]), ("stock", ["stock_status"]), ("sales", SALES)]
    ) + ")"
    history = f"""
        INSERT INTO product_history ({", ".join(HISTORY_COLUMNS)})
        SELECT s.id, %(look)s, COALESCE(NULLIF(split_part(k.changed, ',', 1), ''), 'first'),
            CASE WHEN p.id IS NULL THEN 'first' ELSE k.changed END,
            {", ".join("s." + c for c in SAID)}, p.price, s.price - p.price,
            (s.price - p.price) * 100.0 / NULLIF(p.price, 0)
        FROM staged s LEFT JOIN products p ON p.id = s.id
        CROSS JOIN LATERAL (SELECT CASE WHEN p.id IS NOT NULL THEN {kinds} END AS changed) k
        WHERE s.batch = %(batch)s AND (p.id IS NULL OR {differs(SAID, 's', 'p')})"""
    looks = f"""
        INSERT INTO observations ({", ".join(LOOK_COLUMNS)})
        SELECT id, %(look)s, 'detail', false, 'run', 1, {", ".join(VALUES)} FROM staged
        WHERE batch = %(batch)s ON CONFLICT DO NOTHING"""
    products = f"""
        INSERT INTO products ({names}) SELECT {names} FROM staged WHERE batch = %(batch)s
        ON CONFLICT (id) DO UPDATE SET {updates} WHERE {differs(CONTENT, 'products', 'excluded')}"""
    begins = range(0, len(rows), batch)
    for number, begin in enumerate(begins):
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY staged (batch, {names}) FROM STDIN (FORMAT BINARY)") as out:
                out.set_types(["int4", *types])
                for row in rows[begin:begin + batch]:
                    out.write_row((number, *row))
        connection.commit()
    for number in range(len(begins)):
        of = {"batch": number, "look": look}
        with connection.cursor() as cursor:
            for statement in (history, looks, products, "DELETE FROM staged WHERE batch = %(batch)s"):
                cursor.execute(statement, of)
        connection.commit()


def row_by_row(connection, columns, _types, rows, look, batch):
    """A product at a time, as the system before ours did."""
    marks = ", ".join(["%s"] * len(columns))
    kept = [c for c in columns if c not in ("id", "created_at")]
    updates = ", ".join(f"{c} = excluded.{c}" for c in kept)
    upsert = f"INSERT INTO products ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}"
    current = f"SELECT {', '.join(columns)} FROM products WHERE id = %s"
    see = (f"INSERT INTO observations ({', '.join(LOOK_COLUMNS)}) VALUES ({', '.join(['%s'] * len(LOOK_COLUMNS))})"
           " ON CONFLICT DO NOTHING")
    change = f"INSERT INTO product_history ({', '.join(HISTORY_COLUMNS)}) VALUES ({', '.join(['%s'] * len(HISTORY_COLUMNS))})"
    at = {c: n for n, c in enumerate(columns)}
    content = [at[c] for c in CONTENT]
    with connection.cursor() as cursor:
        for n, row in enumerate(rows, 1):
            known = cursor.execute(current, (row[at["id"]],)).fetchone()
            values = [row[at[c]] for c in VALUES]
            cursor.execute(see, (row[at["id"]], look, "detail", False, "run", 1, *values))
            said = values[:9]
            if known is None:
                kinds = ["first"]
            else:
                kinds = [kind for kind, of in (("price", PRICE), ("seller", ["seller_id"]),
                                               ("stock", ["stock_status"]), ("sales", SALES))
                         if any(known[at[c]] != row[at[c]] for c in of)]
            if kinds:
                before = known[at["price"]] if known else None
                step = row[at["price"]] - before if known else None
                cursor.execute(change, (row[at["id"]], look, kinds[0], ",".join(kinds), *said, before,
                                        step, step * 100.0 / before if before else None))
            if known is None or any(known[n] != row[n] for n in content):
                cursor.execute(upsert, row)
            if n % batch == 0:
                connection.commit()
    connection.commit()


def main():
    way, source, target, look, count, batch = sys.argv[1:]
    load = {"copy": copy, "rows": row_by_row}[way]
    with psycopg.connect(source) as connection:
        described = connection.execute(
            "SELECT column_name, udt_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = 'products' ORDER BY ordinal_position").fetchall()
        columns, types = [c for c, _ in described], [t for _, t in described]
        # JSON as text, as the site sends it: not to be parsed and printed again.
        names = ", ".join(f"{c}::text" if t == "json" else c for c, t in described)
        rows = connection.execute(
            f"SELECT {names} FROM products WHERE id <= %s ORDER BY id", (int(count),)).fetchall()
    binary = ["text" if t == "json" else t for t in types]
    with psycopg.connect(target) as connection:
        begun = time.perf_counter()
        load(connection, columns, binary, rows, look, int(batch))
        print(time.perf_counter() - begun)


main()
