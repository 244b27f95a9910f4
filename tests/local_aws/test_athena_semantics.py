"""What Trino's SQL means, as its documentation tells it: known answers and refusals, on the engine alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from local_aws.athena.engine import Engine, Query, Session
from local_aws.athena.errors import Malformed, QueryFailed
from local_aws.athena.results import Result, java_double, java_real
from local_aws.athena.statements import parse
from local_aws.athena.syntax import Source

Run = Callable[[str], Result]
STARTED = datetime(2024, 3, 5, 10, 20, 30)  # now(), for these tests


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a query that needs no table."""
    engine = Engine()
    cursor = engine.cursor()

    def rows(sql: str) -> Result:
        query = Query(engine, Session(None, None, "db", STARTED, "someone"), cursor)
        source = Source(sql)
        return query.rows(query.prepare(source, source.tree))

    yield rows
    cursor.close()
    engine.close()


EXPRESSIONS: list[tuple[str, str | None]] = [
    # numbers: integers divide as integers, decimals stay decimals of known scale, doubles print as Java's
    ("7 / 2", "3"),
    ("-7 / 2", "-3"),
    ("-7 % 3", "-1"),
    ("7 / 2.0", "3.5"),
    ("10.00 / 3.00", "3.33"),
    ("20.00 / 3.00", "6.67"),
    ("-20.00 / 3.00", "-6.67"),
    ("1.50 * 2.00", "3.0000"),
    ("0.1 + 0.2", "0.3"),
    ("0.1e0 + 0.2e0", "0.30000000000000004"),
    ("1e7", "1.0E7"),
    ("9999999.0e0", "9999999.0"),
    ("1e-3", "0.001"),
    ("1e-4", "1.0E-4"),
    ("1e0 / 0", "Infinity"),
    ("0e0 / 0", "NaN"),
    ("round(2.345, 2)", "2.350"),
    ("round(2.5)", "3"),
    ("round(-2.5)", "-3"),
    ("round(2.5e0)", "3.0"),
    ("round(15, -1)", "20"),
    ("ceil(1.2)", "2"),
    ("floor(-1.2)", "-2"),
    ("truncate(-1.7e0)", "-1.0"),
    ("truncate(12.789, 1)", "12.700"),
    ("mod(-5, 3)", "-2"),
    ("power(2, 3)", "8.0"),
    ("sqrt(-1)", "NaN"),
    ("ln(0)", "-Infinity"),
    ("cbrt(27)", "3.0"),
    ("log(2, 8)", "3.0"),
    ("greatest(1, 2, NULL)", None),
    ("least(2, 1)", "1"),
    ("width_bucket(5e0, 0e0, 10e0, 5)", "3"),
    ("bitwise_and(5, 3)", "1"),
    # casts
    ("CAST(2.5e0 AS integer)", "3"),
    ("CAST(1.7 AS integer)", "2"),
    ("CAST(1.005 AS decimal(10,2))", "1.01"),
    ("CAST(12345678e0 AS varchar)", "1.2345678E7"),
    ("CAST(1.50 AS varchar)", "1.50"),
    ("CAST(true AS varchar)", "true"),
    ("CAST('abcdef' AS varchar(3))", "abc"),
    ("CAST('12' AS bigint) + 1", "13"),
    ("TRY_CAST('12x' AS integer)", None),
    ("TRY_CAST('1.5' AS integer)", None),
    ("TRY_CAST('2024-13-01' AS date)", None),
    ("TRY(1 / 0)", None),
    ("TRY(CAST('x' AS double))", None),
    ("CAST(ARRAY[1, 2] AS array(varchar))", "[1, 2]"),
    ("CAST(ROW(1, 'x') AS row(a integer, b varchar))", "{a=1, b=x}"),
    ("CAST(1.1 AS real)", "1.1"),
    # text
    ("'a' || 'b'", "ab"),
    ("'a' || NULL", None),
    ("concat('a', 'b', 'c')", "abc"),
    ("substr('hello', 2, 3)", "ell"),
    ("substr('hello', -3)", "llo"),
    ("substr('hello', 0)", ""),
    ("substring('hello' FROM 2 FOR 3)", "ell"),
    ("split_part('a-b-c', '-', 2)", "b"),
    ("split_part('a-b', '-', 5)", None),
    ("split('a,b,c', ',', 2)", "[a, b,c]"),
    ("lpad('5', 3, '0')", "005"),
    ("strpos('abc', 'c')", "3"),
    ("position('b' IN 'abc')", "2"),
    ("length('é')", "1"),
    ("'x' LIKE 'X%'", "false"),
    ("'a_b' LIKE 'a#_b' ESCAPE '#'", "true"),
    ("regexp_like('1a 2b', '\\d+b')", "true"),
    ("regexp_extract('1a 2b 14m', '(\\d+)([a-z]+)', 2)", "a"),
    ("regexp_extract('abc', '\\d')", None),
    ("regexp_replace('1a 2b 14m', '(\\d+)([ab]) ', '3c$2 ')", "3ca 3cb 14m"),
    ("regexp_split('1a 2b', '\\s')", "[1a, 2b]"),
    ("to_hex(md5(to_utf8('a')))", "0CC175B9C0F1B6A831C399E269772661"),
    ("format('%,.2f|%s|%d|%05d', 1234.5, 'x', 5, 42)", "1,234.50|x|5|00042"),
    ("X'6162'", "61 62"),
    # dates and times
    ("DATE '2024-01-31' + INTERVAL '1' MONTH", "2024-02-29"),
    ("DATE '2024-03-01' - INTERVAL '1' DAY", "2024-02-29"),
    ("DATE '2024-01-03' - DATE '2024-01-01'", "2 00:00:00.000"),
    ("INTERVAL '2' DAY + INTERVAL '3' HOUR", "2 03:00:00.000"),
    ("INTERVAL '14' MONTH", "1-2"),
    ("date_trunc('month', DATE '2024-02-15')", "2024-02-01"),
    ("date_trunc('week', TIMESTAMP '2024-01-05 10:00:00')", "2024-01-01 00:00:00.000"),
    ("date_diff('day', DATE '2024-01-01', DATE '2024-03-01')", "60"),
    ("date_diff('day', TIMESTAMP '2024-01-01 23:00:00', TIMESTAMP '2024-01-02 01:00:00')", "0"),
    ("date_diff('month', DATE '2024-01-15', DATE '2024-03-14')", "1"),
    ("date_add('month', 1, DATE '2024-01-31')", "2024-02-29"),
    ("date_add('hour', -2, TIMESTAMP '2024-01-01 01:00:00')", "2023-12-31 23:00:00.000"),
    ("day_of_week(DATE '2024-01-07')", "7"),
    ("EXTRACT(DOW FROM DATE '2024-01-01')", "1"),
    ("year_of_week(DATE '2024-12-30')", "2025"),
    ("date_format(TIMESTAMP '2024-01-05 13:04:05', '%Y-%m-%d %H:%i:%s %W %e %c')", "2024-01-05 13:04:05 Friday 5 1"),
    ("date_parse('05/01/2024 13:04', '%d/%m/%Y %H:%i')", "2024-01-05 13:04:00.000"),
    ("format_datetime(TIMESTAMP '2024-01-05 13:04:05', 'yyyy-MM-dd''T''HH:mm:ss')", "2024-01-05T13:04:05"),
    ("from_iso8601_timestamp('2024-01-01T10:00:00Z')", "2024-01-01 10:00:00.000 UTC"),
    ("from_unixtime(0)", "1970-01-01 00:00:00.000 UTC"),
    ("from_unixtime(0, 'America/New_York')", "1969-12-31 19:00:00.000 America/New_York"),
    ("to_unixtime(TIMESTAMP '1970-01-02 00:00:00')", "86400.0"),
    ("TIMESTAMP '2024-01-01 00:00:00 UTC' AT TIME ZONE 'America/New_York'", "2023-12-31 19:00:00.000 America/New_York"),
    ("ARRAY[TIMESTAMP '2024-01-01 10:00:00 America/New_York']", "[2024-01-01 10:00:00.000 America/New_York]"),
    ("hour(TIMESTAMP '2024-01-01 00:00:00 UTC' AT TIME ZONE 'America/New_York')", "19"),
    ("current_date", "2024-03-05"),
    ("CAST(current_date AS varchar)", "2024-03-05"),
    ("CAST(TIMESTAMP '2024-01-01 10:00:00.5' AS varchar)", "2024-01-01 10:00:00.5"),
    ("millisecond(TIMESTAMP '2024-01-01 13:14:15.678')", "678"),
    ("DATE '2024-01-01' < TIMESTAMP '2024-01-01 00:00:01'", "true"),
    # arrays, maps, rows, lambdas
    ("ARRAY[1, 2][2]", "2"),
    ("element_at(ARRAY[1], 5)", None),
    ("element_at(ARRAY[1, 2], -1)", "2"),
    ("ARRAY[1] || 2", "[1, 2]"),
    ("array_sort(ARRAY[3, NULL, 1])", "[1, 3, null]"),
    ("array_distinct(ARRAY[1, 1, NULL, NULL])", "[1, null]"),
    ("contains(ARRAY[1, NULL], 2)", None),
    ("array_max(ARRAY[1, NULL])", None),
    ("array_join(ARRAY['a', NULL, 'b'], '-')", "a-b"),
    ("array_join(ARRAY['a', NULL], '-', '?')", "a-?"),
    ("slice(ARRAY[1, 2, 3, 4], -2, 2)", "[3, 4]"),
    ("sequence(1, 10, 3)", "[1, 4, 7, 10]"),
    ("sequence(3, 1)", "[3, 2, 1]"),
    ("cardinality(sequence(DATE '2024-01-01', DATE '2024-03-01', INTERVAL '1' MONTH))", "3"),
    ("transform(ARRAY[1, 2], x -> x * 2)", "[2, 4]"),
    ("filter(ARRAY[1, 2, 3], x -> x > 1)", "[2, 3]"),
    ("reduce(ARRAY[5, 20, 50], 0, (s, x) -> s + x, s -> s)", "75"),
    ("any_match(ARRAY[1, 2], x -> x > 1)", "true"),
    ("map(ARRAY['a', 'b'], ARRAY[1, 2])", "{a=1, b=2}"),
    ("map(ARRAY['a'], ARRAY[1])['a']", "1"),
    ("transform_values(map(ARRAY['a'], ARRAY[1]), (k, v) -> v + 1)", "{a=2}"),
    ("map_filter(map(ARRAY['a', 'b'], ARRAY[1, 2]), (k, v) -> v > 1)", "{b=2}"),
    ("CAST(ROW(1, 'x') AS row(a integer, b varchar)).b", "x"),
    ("ROW(1, 'x') = ROW(1, 'x')", "true"),
    # JSON
    ('json_extract_scalar(\'{"a": [1, {"b": "x"}]}\', \'$.a[1].b\')', "x"),
    ("json_extract_scalar('{\"a\": {}}', '$.a')", None),
    ("json_extract_scalar('not json', '$.a')", None),
    ("json_extract('{\"a\": [1,2]}', '$.a')", "[1,2]"),
    ("json_array_length('[1, 2]')", "2"),
    ("CAST(json_extract('{\"a\": 5}', '$.a') AS integer)", "5"),
    # conditions
    ("NULL IS NOT DISTINCT FROM NULL", "true"),
    ("1 = NULL", None),
    ("3 NOT IN (1, NULL)", None),
    ("1 NOT BETWEEN 2 AND 3", "true"),
    ("IF(1 > 2, 'a')", None),
    ("CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END", "two"),
    ("NULLIF(1, 1)", None),
    ("COALESCE(NULL, 1.5)", "1.5"),
    ("1 = 1.0", "true"),
    ("5 > ALL (SELECT x FROM (VALUES 1, 2) t(x))", "true"),
    ("1 = ANY (SELECT x FROM (VALUES 1, 2) t(x))", "true"),
    # types, by Trino's rules
    ("typeof(1)", "integer"),
    ("typeof(3000000000)", "bigint"),
    ("typeof(1.50)", "decimal(3,2)"),
    ("typeof('abc')", "varchar(3)"),
    ("typeof(CAST(1 AS decimal(12,2)) + CAST(1 AS decimal(12,2)))", "decimal(13,2)"),
    ("typeof(CAST(1 AS decimal(12,2)) * CAST(1 AS decimal(10,3)))", "decimal(22,5)"),
    ("typeof(CAST(1 AS decimal(12,2)) / CAST(1 AS decimal(10,3)))", "decimal(16,3)"),
    ("typeof(CAST(1 AS decimal(5,2)) + 1)", "decimal(13,2)"),
    ("typeof(CAST(1 AS decimal(5,2)) + 1e0)", "double"),
    ("typeof(round(CAST(1 AS decimal(12,2)), 1))", "decimal(13,2)"),
    ("typeof(DATE '2024-01-01' - DATE '2024-01-01')", "interval day to second"),
    ("typeof(ARRAY[1, 1.5])", "array(decimal(11,1))"),
]


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS)
def test_an_expression_has_trinos_value(run: Run, expression: str, expected: str | None) -> None:
    assert run(f"SELECT {expression}").rows == [[expected]]


QUERIES: list[tuple[str, list[list[str | None]]]] = [
    # money
    ("SELECT sum(x), avg(x), max(x) FROM (VALUES DECIMAL '10.55', DECIMAL '20.10') t(x)", [["30.65", "15.33", "20.10"]]),
    ("SELECT typeof(sum(x)), typeof(avg(x)) FROM (VALUES CAST(1 AS decimal(12,2))) t(x)", [["decimal(38,2)", "decimal(12,2)"]]),
    ("SELECT avg(x) OVER (ORDER BY x) FROM (VALUES 1.00, 2.01) t(x)", [["1.00"], ["1.51"]]),
    ("SELECT avg(x) FILTER (WHERE x > 1), avg(x) FILTER (WHERE x > 9) FROM (VALUES 1.00, 2.01) t(x)", [["2.01", None]]),
    ("SELECT sum(x) FROM (VALUES 1) t(x) WHERE false", [[None]]),
    # aggregates
    ("SELECT count(*), count(x), count(DISTINCT x) FROM (VALUES 1, 1, NULL) t(x)", [["3", "2", "1"]]),
    ("SELECT array_agg(x ORDER BY x DESC) FROM (VALUES 1, 2) t(x)", [["[2, 1]"]]),
    ("SELECT max_by(x, y), min_by(x, y) FROM (VALUES ('a', 1), ('b', 2)) t(x, y)", [["b", "a"]]),
    ("SELECT max_by(x, y, 2) FROM (VALUES ('a', 1), ('b', 2), ('c', 3)) t(x, y)", [["[c, b]"]]),
    ("SELECT approx_distinct(x), approx_percentile(x, 0.5) FROM (VALUES 1, 2, 2) t(x)", [["2", "2"]]),
    ("SELECT listagg(x, ', ') WITHIN GROUP (ORDER BY x DESC) FROM (VALUES 'a', 'b') t(x)", [["b, a"]]),
    ("SELECT histogram(x), map_agg(x, x) FROM (VALUES 1, 2, 2) t(x)", [["{1=1, 2=2}", "{1=1, 2=2}"]]),
    ("SELECT count_if(x > 1), bool_and(x > 0) FROM (VALUES 1, 2) t(x)", [["1", "true"]]),
    ("SELECT sum(x) FILTER (WHERE x > 1) FROM (VALUES 1, 2, 3) t(x)", [["5"]]),
    ("SELECT a, sum(b), grouping(a) FROM (VALUES ('x', 1), ('y', 2)) t(a, b) GROUP BY GROUPING SETS ((a), ()) ORDER BY 2",
     [["x", "1", "0"], ["y", "2", "0"], [None, "3", "1"]]),
    ("SELECT a, b, sum(c) FROM (VALUES (1, 'x', 10), (1, 'y', 20)) t(a, b, c) GROUP BY ROLLUP (a, b) ORDER BY a, b",
     [["1", "x", "10"], ["1", "y", "20"], ["1", None, "30"], [None, None, "30"]]),
    ("SELECT date_trunc('month', d), count(*) FROM (VALUES DATE '2024-01-05', DATE '2024-01-06') t(d) GROUP BY 1",
     [["2024-01-01", "2"]]),
    ("SELECT a, sum(sum(b)) OVER () FROM (VALUES ('x', 1), ('y', 2)) t(a, b) GROUP BY a ORDER BY a", [["x", "3"], ["y", "3"]]),
    # windows
    ("SELECT x, rank() OVER (ORDER BY x), dense_rank() OVER (ORDER BY x) FROM (VALUES 1, 1, 2) t(x) ORDER BY x",
     [["1", "1", "1"], ["1", "1", "1"], ["2", "3", "2"]]),
    ("SELECT ntile(2) OVER w, percent_rank() OVER w, cume_dist() OVER w FROM (VALUES 1, 2) t(x) WINDOW w AS (ORDER BY x)",
     [["1", "0.0", "0.5"], ["2", "1.0", "1.0"]]),
    ("SELECT lag(x) OVER (ORDER BY x), lead(x, 1, 0) OVER (ORDER BY x) FROM (VALUES 1, 2) t(x) ORDER BY x",
     [[None, "2"], ["1", "0"]]),
    ("SELECT lag(x) IGNORE NULLS OVER (ORDER BY y) FROM (VALUES (1, 1), (NULL, 2), (3, 3)) t(x, y) ORDER BY y",
     [[None], ["1"], ["1"]]),
    ("SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES 1, 2, 3) t(x) ORDER BY x",
     [["1"], ["3"], ["5"]]),
    ("SELECT sum(x) OVER w FROM (VALUES 1, 2) t(x) WINDOW w AS (ORDER BY x) ORDER BY x", [["1"], ["3"]]),
    # order and limit: nulls come last either way
    ("SELECT x FROM (VALUES 2, NULL, 1) t(x) ORDER BY x", [["1"], ["2"], [None]]),
    ("SELECT x FROM (VALUES 2, NULL, 1) t(x) ORDER BY x DESC", [["2"], ["1"], [None]]),
    ("SELECT x FROM (VALUES 2, NULL, 1) t(x) ORDER BY x NULLS FIRST LIMIT 1", [[None]]),
    ("SELECT x FROM (VALUES 1, 2, 3) t(x) ORDER BY x OFFSET 1 LIMIT 1", [["2"]]),
    ("SELECT x AS y FROM (VALUES 1, 2) t(x) ORDER BY -y", [["2"], ["1"]]),
    # sets, CTEs, subqueries, joins, unnest
    ("SELECT 1 UNION ALL SELECT 2.5 ORDER BY 1", [["1.0"], ["2.5"]]),
    ("SELECT 1 UNION SELECT 2 INTERSECT SELECT 3", [["1"]]),
    ("(SELECT 1) EXCEPT (SELECT 1)", []),
    ("WITH a AS (SELECT 1 x), b(y) AS (SELECT x + 1 FROM a) SELECT * FROM a CROSS JOIN b", [["1", "2"]]),
    ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT sum(n) FROM t", [["6"]]),
    ("SELECT x FROM (VALUES 1, 2) a(x) WHERE EXISTS (SELECT 1 FROM (VALUES 2) b(y) WHERE b.y = a.x)", [["2"]]),
    ("SELECT x, (SELECT count(*) FROM (VALUES 1, 2) b(y) WHERE y <= x) FROM (VALUES 1, 2) a(x) ORDER BY 1",
     [["1", "1"], ["2", "2"]]),
    ("SELECT x FROM (VALUES (1, 2)) t(x, y) WHERE (x, y) IN (SELECT 1, 2)", [["1"]]),
    ("SELECT x, a.y, b.y FROM (VALUES (1, 'a')) a(x, y) FULL JOIN (VALUES (2, 'b')) b(x, y) USING (x) ORDER BY x",
     [["1", "a", None], ["2", None, "b"]]),
    ("SELECT * FROM (VALUES (1, 'a')) a(x, y) JOIN (VALUES (1, 'b')) b(x, z) USING (x)", [["1", "a", "b"]]),
    ("SELECT a, x, n FROM (VALUES ('p', ARRAY[10, 20])) t(a, xs) CROSS JOIN UNNEST(xs) WITH ORDINALITY AS u(x, n)",
     [["p", "10", "1"], ["p", "20", "2"]]),
    ("SELECT * FROM UNNEST(ARRAY[1, 2], ARRAY['a']) AS t(x, y)", [["1", "a"], ["2", None]]),
    ("SELECT k, v FROM UNNEST(map(ARRAY['a'], ARRAY[1])) AS t(k, v)", [["a", "1"]]),
    ("SELECT a, b FROM UNNEST(ARRAY[ROW(1, 'x')]) AS t(a, b)", [["1", "x"]]),
    ("SELECT x FROM (VALUES ARRAY[]) t(xs) LEFT JOIN UNNEST(ARRAY[1]) u(x) ON true", [["1"]]),
    ("VALUES (1, 'a'), (2, NULL)", [["1", "a"], ["2", None]]),
    ("SELECT DISTINCT x FROM (VALUES 1, 1) t(x)", [["1"]]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), QUERIES)
def test_a_query_has_trinos_rows(run: Run, sql: str, expected: list[list[str | None]]) -> None:
    assert run(sql).rows == expected


REFUSED: list[tuple[str, str]] = [
    ("SELECT run_id FROM (VALUES '2024') t(run_id) WHERE run_id = 2024",
     "TYPE_MISMATCH: line 1:59: Cannot apply operator: varchar(4) = integer"),
    ("SELECT 1 + 'a'", "TYPE_MISMATCH: line 1:10: Cannot apply operator: integer + varchar(1)"),
    ("SELECT DATE '2024-01-01' = '2024-01-01'", "Cannot apply operator: date = varchar(10)"),
    ("SELECT DATE '2024-01-01' + 1", "Cannot apply operator: date + integer"),
    ("SELECT 1 BETWEEN 'a' AND 'b'", "Cannot check if integer is BETWEEN varchar(1) and varchar(1)"),
    ("SELECT 1 IN ('a')", "TYPE_MISMATCH"),
    ("SELECT CASE WHEN true THEN 1 ELSE 'a' END", "All CASE results must be the same type"),
    ("SELECT COALESCE(1, 'a')", "All COALESCE operands must be the same type"),
    ("SELECT 'a' || 1", "Unexpected parameters (varchar(1), integer) for function concat"),
    ("SELECT 1 LIKE 'a'", "Left side of LIKE expression must evaluate to a varchar (actual: integer)"),
    ("SELECT 1 WHERE 1", "WHERE clause must evaluate to a boolean: actual type integer"),
    ("SELECT NOT 1", "Value of logical NOT expression must evaluate to a boolean (actual: integer)"),
    ("SELECT CAST(ARRAY[1] AS varchar)", "TYPE_MISMATCH: line 1:8: Cannot cast array(integer) to varchar"),
    ("SELECT CAST(1 AS string)", "Unknown type: string"),
    ("SELECT 1 UNION SELECT 'a'", "column 1 in UNION query has incompatible types: integer, varchar(1)"),
    ("SELECT 1, 2 UNION SELECT 1", "UNION query has different number of fields: 2, 1"),
    ("SELECT nope FROM (VALUES 1) t(x)", "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved"),
    ("SELECT x,\n  t.nope FROM (VALUES 1) t(x)", "COLUMN_NOT_FOUND: line 2:3: Column 't.nope' cannot be resolved"),
    ("SELECT x AS y FROM (VALUES 1) t(x) WHERE y = 1", "Column 'y' cannot be resolved"),
    ("SELECT x AS y FROM (VALUES 1) t(x) GROUP BY y", "Column 'y' cannot be resolved"),
    ("SELECT x FROM (VALUES 1) a(x), (VALUES 1) b(x)", "AMBIGUOUS_NAME: line 1:8: Column 'x' is ambiguous"),
    ("SELECT x, y FROM (VALUES (1, 2)) t(x, y) GROUP BY x",
     "EXPRESSION_NOT_AGGREGATE: line 1:11: 'y' must be an aggregate expression"),
    ("SELECT sum(x), x FROM (VALUES 1) t(x)", "EXPRESSION_NOT_AGGREGATE: line 1:16"),
    ("SELECT x FROM (VALUES 1) t(x) WHERE sum(x) > 1", "WHERE clause cannot contain aggregations"),
    ("SELECT x FROM (VALUES 1) t(x) GROUP BY 2", "GROUP BY position 2 is not in select list"),
    ("SELECT foo(1)", "FUNCTION_NOT_FOUND: line 1:8: Function 'foo' not registered"),
    ("SELECT nvl(1, 2)", "Function 'nvl' not registered"),
    ("SELECT sum('a')", "Unexpected parameters (varchar(1)) for function sum. Expected: sum("),
    ("SELECT row_number()", "Window function row_number requires an OVER clause"),
    ("SELECT upper('a') OVER ()", "Not a window function: upper"),
    ("SELECT coalesce(1, 2) OVER ()", "Not a window function: coalesce"),
    ("SELECT upper('a') FILTER (WHERE true)", "Filter is only valid for aggregation functions"),
    ("SELECT 1 / 0", "DIVISION_BY_ZERO: Division by zero"),
    ("SELECT 1.0 / 0", "DIVISION_BY_ZERO"),
    ("SELECT 1 % 0", "DIVISION_BY_ZERO"),
    ("SELECT 2147483647 + 1", "NUMERIC_VALUE_OUT_OF_RANGE: integer addition overflow: 2147483647 + 1"),
    ("SELECT CAST('abc' AS integer)", "INVALID_CAST_ARGUMENT: Cannot cast 'abc' to INT"),
    ("SELECT CAST('1.5' AS integer)", "INVALID_CAST_ARGUMENT"),
    ("SELECT CAST('2024-02-30' AS date)", "INVALID_CAST_ARGUMENT: Value cannot be cast to date: 2024-02-30"),
    ("SELECT (SELECT x FROM (VALUES 1, 2) t(x))", "SUBQUERY_MULTIPLE_ROWS: Scalar sub-query has returned multiple rows"),
    ("SELECT ARRAY[1, 2][3]", "Array subscript must be less than or equal to array length: 3 > 2"),
    ("SELECT ARRAY[1][0]", "SQL array indices start at 1"),
    ("SELECT date_trunc('foo', current_date)", "'foo' is not a valid"),
    ("SELECT json_parse('{bad')", "Cannot convert value to JSON: '{bad'"),
    ("SELECT * FROM (VALUES 1) a(x) NATURAL JOIN (VALUES 1) b(x)", "Natural join not supported"),
    ("SELECT *", "SELECT * not allowed in queries without FROM clause"),
    ("SELECT ARRAY[INTERVAL '1' DAY]", "local_aws does not do this: interval day to second inside an array"),
    ("SELECT skewness(1)", "local_aws does not do this: the function skewness"),
    ("SELECT date_format(now(), '%X')", "local_aws does not do this: the format %X"),
    ("SELECT x FROM (VALUES 1) t(x) FETCH FIRST 1 ROWS WITH TIES", "local_aws does not do this: FETCH ... WITH TIES"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "words"), REFUSED)
def test_what_trino_refuses_fails_in_its_words(run: Run, sql: str, words: str) -> None:
    with pytest.raises(QueryFailed) as caught:
        run(sql)
    assert words in caught.value.reason


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELEC 1", "line 1:1: mismatched input 'SELEC'"),
        ("SELECT 1 FROM", "line 1:14: mismatched input '<EOF>'"),
        ("SELECT x FROM t\nWHERE x = = 1", "line 2:"),
        ("SELECT a FROM t LIMIT 1 OFFSET 2", "line 1:25: mismatched input 'OFFSET'"),
        ("SELECT x::int FROM t", "mismatched input '::'"),
        ("SELECT x FROM t QUALIFY row_number() OVER () = 1", "mismatched input"),
        ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
        ("", "mismatched input '<EOF>'"),
        ("USE db", "mismatched input 'USE'"),
    ],
)
def test_what_is_no_statement_is_refused_at_once(sql: str, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(sql)
    assert words in str(caught.value)


def test_columns_without_a_name_are_counted_and_named_ones_keep_their_letters(run: Run) -> None:
    names = [name for name, _ in run('SELECT 1, x, x AS "My Col", x + 1, x AS Foo FROM (VALUES 1) t(x)').columns]
    assert names == ["_col0", "x", "My Col", "_col3", "Foo"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e7, "1.0E7"),
        (-1.5e-5, "-1.5E-5"),
        (0.001, "0.001"),
        (123456789.125, "1.23456789125E8"),
        (0.0, "0.0"),
    ],
)
def test_doubles_are_written_as_java_writes_them(value: float, text: str) -> None:
    assert java_double(value) == text


def test_a_real_has_the_fewest_digits_that_tell_it_apart() -> None:
    assert [java_real(value) for value in (0.10000000149011612, 16777216.0, float("nan"))] == ["0.1", "1.6777216E7", "NaN"]
