"""Loads a day's products as a Python program would: psycopg 3, the same tables, the same laws, the same work.

usage: peers.py copy|given|rows <source url> <target url> <look, as an instant> <rows> <rows a batch>

What a page says of each product is read from the `products` of the source before the clock starts, as ours begins
with records that are made. Prints the seconds.

copy: derives the rows and stages them by COPY, a transaction a batch, as one step hands them to the next; then merges
what is staged by set-wise INSERT ... ON CONFLICT, a transaction a batch that is fenced by an epoch, and takes it away.
A batch with a look that is not newer than all others of its product is refused; what became of each product is kept.
given: less work: the rows are derived before the clock starts, and nobody asks for late looks, an epoch or outcomes.
rows: the work of `copy`, a SELECT and upserts for every product, a transaction a batch; nothing is staged.

Not here: what late, gone or conflicting looks come to; a derivation; the speed of sales, which no day of these changes;
the claims of workers side by side; one bad row among others.
"""

import datetime
import hashlib
import html
import math
import sys
import time
import unicodedata

import psycopg

VALUES = [
    "price", "original_price", "discount_percent", "sales_count", "rating_average", "review_count",
    "seller_id", "spid", "stock_status", "stock_quantity",
]
SAID = VALUES[:9]
IDENTITY = ["name", "url", "image_url", "category_id", "category_path", "brand", "seller_sku", "seller_is_official"]
DETAILS = ["sku", "brand_id", "named_seller_id", "named_seller_name", "description", "specifications", "images",
           "site_created_on"]
# What is known of a product before anything is derived.
RECORD = ["id", *VALUES, *IDENTITY, *DETAILS]
DERIVED = ["discount_amount", "estimated_revenue", "price_category", "popularity_score", "value_score",
           "search_name", "seller_name", "identity_hash", "details_hash", "content_at", "observed_at",
           "detail_observed_at", "created_at", "updated_at"]
COLUMNS = [*RECORD, *DERIVED]
# The hashes are of all else that a person sees.
CONTENT = [*VALUES, "identity_hash", "details_hash"]
# Since when a text is told as it is: not moved by a look that tells the same.
SINCE = {"content_at": "identity_hash", "detail_observed_at": "details_hash"}
KEPT = ["id", "created_at"]
PRICE = ["price", "original_price", "discount_percent"]
SALES = ["sales_count", "rating_average", "review_count"]

HISTORY_COLUMNS = ["product_id", "observed_at", "kind", "changed", *SAID, "previous_price",
                   "price_change", "price_change_percent"]
LOOK_COLUMNS = ["product_id", "observed_at", "source", "gone", "run_id", "derivation", *VALUES]
EPOCH = 1


def search_name(name):
    lower = " ".join(html.unescape(name).split()).lower()
    bare = "".join(c for c in unicodedata.normalize("NFD", lower) if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", bare.replace("đ", "d"))


def hash_of(values):
    digest = hashlib.blake2b(repr(values).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def round2(value):
    """Half away from zero; `round` would go to the even one."""
    return math.copysign(math.floor(abs(value) * 100 + 0.5) / 100, value)


def price_category(price):
    for name, below in (("budget", 500_000), ("mid-range", 2_000_000), ("premium", 10_000_000)):
        if price < below:
            return name
    return "luxury"


def derive(record, look):
    """A row of COLUMNS, by the formulas of docs/SCHEMA.md."""
    price, original, _, sales, rating, reviews, seller = record[1:8]
    identity, details = record[11:19], record[19:27]
    popularity = (min((sales or 0) / 100_000 * 50, 50) + min(max(rating or 0, 0), 5) / 5 * 30
                  + min((reviews or 0) / 10_000 * 20, 20))
    return (
        *record,
        original - price if original is not None and original > price else None,
        price * sales if price and sales else None,
        price_category(price) if price else None,
        round2(popularity) if popularity else None,
        round2(rating / (price / 1_000_000)) if rating and price else None,
        search_name(identity[0]),
        details[3] if details[2] == seller else None,
        hash_of(identity), hash_of(details),
        look, look, look, look, look,
    )


def differs(columns, one, other):
    return "(" + " OR ".join(f"{one}.{c} IS DISTINCT FROM {other}.{c}" for c in columns) + ")"


def updated(column):
    if column not in SINCE:
        return f"{column} = excluded.{column}"
    same = f"products.{SINCE[column]} IS NOT DISTINCT FROM excluded.{SINCE[column]}"
    return f"{column} = CASE WHEN {same} THEN products.{column} ELSE excluded.{column} END"


UPDATES = ", ".join(updated(c) for c in COLUMNS if c not in KEPT)
BATCHES = """CREATE TABLE IF NOT EXISTS batches (look timestamptz, number int, epoch bigint NOT NULL, state text NOT NULL,
    new bigint[], changed bigint[], PRIMARY KEY (look, number))"""
END = """UPDATE batches SET state = 'loaded', new = %(new)s, changed = %(changed)s
    WHERE look = %(look)s AND number = %(batch)s AND epoch = %(epoch)s AND state = 'staged'"""


def end(cursor, of, outcomes):
    """What became of each product; the others of the batch are unchanged."""
    new = [id for id, is_new in outcomes if is_new]
    changed = [id for id, is_new in outcomes if not is_new]
    cursor.execute(END, {**of, "epoch": EPOCH, "new": new, "changed": changed})
    if cursor.rowcount != 1:
        sys.exit("another holds the batch")


def begin(cursor, look, number):
    cursor.execute("INSERT INTO batches (look, number, epoch, state) VALUES (%s, %s, %s, 'staged')",
                   (look, number, EPOCH))


def copy(connection, types, rows, look, batch, is_given=False):
    """Set-wise: the laws as a plain SQL prototype writes them."""
    names = ", ".join(COLUMNS)
    connection.execute("CREATE TABLE IF NOT EXISTS staged (batch int NOT NULL, LIKE products)")
    connection.execute("CREATE INDEX IF NOT EXISTS staged_batch ON staged (batch)")
    connection.commit()
    kinds = "concat_ws(',', " + ", ".join(
        f"CASE WHEN {differs(of, 's', 'p')} THEN '{kind}' END"
        for kind, of in [("price", PRICE), ("seller", ["seller_id"]), ("stock", ["stock_status"]), ("sales", SALES)]
    ) + ")"
    late = """SELECT s.id FROM staged s WHERE s.batch = %(batch)s AND EXISTS
        (SELECT 1 FROM observations o WHERE o.product_id = s.id AND o.observed_at >= %(look)s) LIMIT 1"""
    history = f"""
        INSERT INTO product_history ({", ".join(HISTORY_COLUMNS)})
        SELECT s.id, %(look)s, COALESCE(NULLIF(split_part(k.changed, ',', 1), ''), 'first'),
            CASE WHEN p.id IS NULL THEN 'first' ELSE k.changed END,
            {", ".join("s." + c for c in SAID)}, p.price, s.price - p.price,
            round((s.price - p.price) * 100.0 / NULLIF(p.price, 0), 2)
        FROM staged s LEFT JOIN products p ON p.id = s.id
        CROSS JOIN LATERAL (SELECT CASE WHEN p.id IS NOT NULL THEN {kinds} END AS changed) k
        WHERE s.batch = %(batch)s AND (p.id IS NULL OR {differs(SAID, 's', 'p')})"""
    looks = f"""
        INSERT INTO observations ({", ".join(LOOK_COLUMNS)})
        SELECT id, %(look)s, 'detail', false, 'run', 1, {", ".join(VALUES)} FROM staged
        WHERE batch = %(batch)s ON CONFLICT DO NOTHING"""
    products = f"""
        INSERT INTO products ({names}) SELECT {names} FROM staged WHERE batch = %(batch)s
        ON CONFLICT (id) DO UPDATE SET {UPDATES} WHERE {differs(CONTENT, 'products', 'excluded')}"""
    begins = range(0, len(rows), batch)
    for number, first in enumerate(begins):
        part = rows[first:first + batch]
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY staged (batch, {names}) FROM STDIN (FORMAT BINARY)") as out:
                out.set_types(["int4", *types])
                for row in part if is_given else (derive(record, look) for record in part):
                    out.write_row((number, *row))
            if not is_given:
                begin(cursor, look, number)
        connection.commit()
    for number in range(len(begins)):
        of = {"batch": number, "look": look}
        with connection.cursor() as cursor:
            if not is_given and cursor.execute(late, of).fetchone():
                sys.exit("a look came late")
            for statement in (history, looks):
                cursor.execute(statement, of)
            if is_given:
                cursor.execute(products, of)
            else:
                told = cursor.execute(products + " RETURNING id, xmax = 0", of).fetchall()
                end(cursor, of, told)
            cursor.execute("DELETE FROM staged WHERE batch = %(batch)s", of)
        connection.commit()


def given(connection, types, rows, look, batch):
    copy(connection, types, rows, look, batch, is_given=True)


def row_by_row(connection, _types, records, look, batch):
    """A product at a time, as the system before ours did."""
    marks = ", ".join(["%s"] * len(COLUMNS))
    upsert = (f"INSERT INTO products ({', '.join(COLUMNS)}) VALUES ({marks})"
              f" ON CONFLICT (id) DO UPDATE SET {UPDATES}")
    current = (f"SELECT {', '.join(CONTENT)}, (SELECT MAX(o.observed_at) FROM observations o WHERE o.product_id = p.id)"
               " FROM products p WHERE p.id = %s")
    see = (f"INSERT INTO observations ({', '.join(LOOK_COLUMNS)}) VALUES ({', '.join(['%s'] * len(LOOK_COLUMNS))})"
           " ON CONFLICT DO NOTHING")
    change = f"INSERT INTO product_history ({', '.join(HISTORY_COLUMNS)}) VALUES ({', '.join(['%s'] * len(HISTORY_COLUMNS))})"
    in_row = [COLUMNS.index(c) for c in CONTENT]
    kinds_of = [(kind, [CONTENT.index(c) for c in of]) for kind, of in
                (("price", PRICE), ("seller", ["seller_id"]), ("stock", ["stock_status"]), ("sales", SALES))]
    with connection.cursor() as cursor:
        for number, first in enumerate(range(0, len(records), batch)):
            begin(cursor, look, number)
            outcomes = []
            for record in records[first:first + batch]:
                row = derive(record, look)
                product, content = row[0], [row[n] for n in in_row]
                known = cursor.execute(current, (product,)).fetchone()
                if known is not None and known[-1] >= look:
                    sys.exit("a look came late")
                cursor.execute(see, (product, look, "detail", False, "run", 1, *content[:10]))
                kinds = ["first"] if known is None else [
                    kind for kind, of in kinds_of if any(known[n] != content[n] for n in of)]
                if kinds:
                    before = known[0] if known else None
                    step = content[0] - before if known else None
                    cursor.execute(change, (product, look, kinds[0], ",".join(kinds), *content[:9], before,
                                            step, round2(step * 100.0 / before) if before else None))
                if known is None or list(known[:-1]) != content:
                    cursor.execute(upsert, row)
                    outcomes.append((product, known is None))
            end(cursor, {"look": look, "batch": number}, outcomes)
            connection.commit()


def main():
    way, source, target, look, count, batch = sys.argv[1:]
    load = {"copy": copy, "given": given, "rows": row_by_row}[way]
    look = datetime.datetime.fromisoformat(look)
    with psycopg.connect(source) as connection:
        types = dict(connection.execute(
            "SELECT column_name, udt_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = 'products'").fetchall())
        # JSON as text, as the site sends it: not to be parsed and printed again.
        names = ", ".join(f"{c}::text" if types[c] == "json" else c for c in RECORD)
        rows = connection.execute(
            f"SELECT {names} FROM products WHERE id <= %s ORDER BY id", (int(count),)).fetchall()
    binary = ["text" if types[c] == "json" else types[c] for c in COLUMNS]
    if way == "given":
        rows = [derive(record, look) for record in rows]
    with psycopg.connect(target) as connection:
        connection.execute(BATCHES)
        connection.commit()
        begun = time.perf_counter()
        load(connection, binary, rows, look, int(batch))
        print(time.perf_counter() - begun)


main()
