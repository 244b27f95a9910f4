-- Known answers of Trino's SQL, which Athena speaks; tests/support/known_answers.py tells the form of a case.
-- The answers follow Trino's documentation: the pages named in each heading.

-- Numbers: integers divide as integers, decimals keep a known scale, doubles print as Java's
-- https://trino.io/docs/current/functions/math.html
-- https://trino.io/docs/current/functions/decimal.html
SELECT 7 / 2 --> 3
SELECT -7 / 2 --> -3
SELECT -7 % 3 --> -1
SELECT 7 / 2.0 --> 3.5
SELECT DECIMAL '10.00' / DECIMAL '3.00' --> 3.33
SELECT DECIMAL '20.00' / DECIMAL '3.00' --> 6.67
SELECT DECIMAL '-20.00' / DECIMAL '3.00' --> -6.67
SELECT DECIMAL '1.50' * DECIMAL '2.00' --> 3.0000
SELECT DECIMAL '0.1' + DECIMAL '0.2' --> 0.3
SELECT 0.1e0 + 0.2e0 --> 0.30000000000000004
SELECT 1e7 --> 1.0E7
SELECT 9999999.0e0 --> 9999999.0
SELECT 1e-3 --> 0.001
SELECT 1e-4 --> 1.0E-4
SELECT 1e0 / 0 --> Infinity
SELECT 0e0 / 0 --> NaN
SELECT round(DECIMAL '2.345', 2) --> 2.350
SELECT round(DECIMAL '2.5') --> 3
SELECT round(DECIMAL '-2.5') --> -3
SELECT round(2.5e0) --> 3.0
SELECT round(15, -1) --> 20
SELECT ceil(DECIMAL '1.2') --> 2
SELECT floor(DECIMAL '-1.2') --> -2
SELECT truncate(-1.7e0) --> -1.0
SELECT truncate(DECIMAL '12.789', 1) --> 12.700
SELECT mod(-5, 3) --> -2
SELECT power(2, 3) --> 8.0
SELECT sqrt(-1) --> NaN
SELECT ln(0) --> -Infinity
SELECT cbrt(27) --> 3.0
SELECT log(2, 8) --> 3.0
SELECT greatest(1, 2, NULL) --> NULL
SELECT least(2, 1) --> 1
SELECT width_bucket(5e0, 0e0, 10e0, 5) --> 3
SELECT bitwise_and(5, 3) --> 1

-- Athena differs from Trino: a number with a point is a double. PyAthena's tests on AWS expect
-- 0.33 of SELECT 0.33, not Decimal('0.33')
SELECT 0.1 + 0.2 --> 0.30000000000000004
SELECT 1 / 3.0 --> 0.3333333333333333
SELECT typeof(0.33) --> double

-- Casts
-- https://trino.io/docs/current/functions/conversion.html
SELECT CAST(2.5e0 AS integer) --> 3
SELECT CAST(1.7 AS integer) --> 2
SELECT CAST(1.005 AS decimal(10,2)) --> 1.01
SELECT CAST(12345678e0 AS varchar) --> 1.2345678E7
SELECT CAST(DECIMAL '1.50' AS varchar) --> 1.50
SELECT CAST(true AS varchar) --> true
SELECT CAST('abcdef' AS varchar(3)) --> abc
SELECT CAST('12' AS bigint) + 1 --> 13
SELECT TRY_CAST('12x' AS integer) --> NULL
SELECT TRY_CAST('1.5' AS integer) --> NULL
SELECT TRY_CAST('2024-13-01' AS date) --> NULL
SELECT TRY(1 / 0) --> NULL
SELECT TRY(CAST('x' AS double)) --> NULL
SELECT CAST(ARRAY[1, 2] AS array(varchar)) --> [1, 2]
SELECT CAST(ROW(1, 'x') AS row(a integer, b varchar)) --> {a=1, b=x}
SELECT CAST(1.1 AS real) --> 1.1

-- Text
-- https://trino.io/docs/current/functions/string.html
-- https://trino.io/docs/current/functions/regexp.html
-- https://trino.io/docs/current/functions/binary.html
SELECT 'a' || 'b' --> ab
SELECT 'a' || NULL --> NULL
SELECT concat('a', 'b', 'c') --> abc
SELECT substr('hello', 2, 3) --> ell
SELECT substr('hello', -3) --> llo
SELECT substr('hello', 0) --> ''
SELECT substring('hello' FROM 2 FOR 3) --> ell
SELECT split_part('a-b-c', '-', 2) --> b
SELECT split_part('a-b', '-', 5) --> NULL
SELECT split('a,b,c', ',', 2) --> [a, b,c]
SELECT lpad('5', 3, '0') --> 005
SELECT strpos('abc', 'c') --> 3
SELECT position('b' IN 'abc') --> 2
SELECT length('é') --> 1
SELECT 'x' LIKE 'X%' --> false
SELECT 'a_b' LIKE 'a#_b' ESCAPE '#' --> true
SELECT regexp_like('1a 2b', '\d+b') --> true
SELECT regexp_extract('1a 2b 14m', '(\d+)([a-z]+)', 2) --> a
SELECT regexp_extract('abc', '\d') --> NULL
SELECT regexp_replace('1a 2b 14m', '(\d+)([ab]) ', '3c$2 ') --> 3ca 3cb 14m
SELECT regexp_split('1a 2b', '\s') --> [1a, 2b]
SELECT to_hex(md5(to_utf8('a'))) --> 0CC175B9C0F1B6A831C399E269772661
SELECT format('%,.2f|%s|%d|%05d', 1234.5, 'x', 5, 42) --> 1,234.50|x|5|00042
SELECT X'6162' --> 61 62

-- Dates and times (now() is 2024-03-05 10:20:30)
-- https://trino.io/docs/current/functions/datetime.html
SELECT DATE '2024-01-31' + INTERVAL '1' MONTH --> 2024-02-29
SELECT DATE '2024-03-01' - INTERVAL '1' DAY --> 2024-02-29
SELECT DATE '2024-01-03' - DATE '2024-01-01' --> 2 00:00:00.000
SELECT INTERVAL '2' DAY + INTERVAL '3' HOUR --> 2 03:00:00.000
SELECT INTERVAL '14' MONTH --> 1-2
SELECT date_trunc('month', DATE '2024-02-15') --> 2024-02-01
SELECT date_trunc('week', TIMESTAMP '2024-01-05 10:00:00') --> 2024-01-01 00:00:00.000
SELECT date_diff('day', DATE '2024-01-01', DATE '2024-03-01') --> 60
SELECT date_diff('day', TIMESTAMP '2024-01-01 23:00:00', TIMESTAMP '2024-01-02 01:00:00') --> 0
SELECT date_diff('month', DATE '2024-01-15', DATE '2024-03-14') --> 1
SELECT date_add('month', 1, DATE '2024-01-31') --> 2024-02-29
SELECT date_add('hour', -2, TIMESTAMP '2024-01-01 01:00:00') --> 2023-12-31 23:00:00.000
SELECT day_of_week(DATE '2024-01-07') --> 7
SELECT EXTRACT(DOW FROM DATE '2024-01-01') --> 1
SELECT year_of_week(DATE '2024-12-30') --> 2025
SELECT date_format(TIMESTAMP '2024-01-05 13:04:05', '%Y-%m-%d %H:%i:%s %W %e %c')
--> 2024-01-05 13:04:05 Friday 5 1
SELECT date_parse('05/01/2024 13:04', '%d/%m/%Y %H:%i') --> 2024-01-05 13:04:00.000
SELECT format_datetime(TIMESTAMP '2024-01-05 13:04:05', 'yyyy-MM-dd''T''HH:mm:ss')
--> 2024-01-05T13:04:05
SELECT from_iso8601_timestamp('2024-01-01T10:00:00Z') --> 2024-01-01 10:00:00.000 UTC
SELECT from_unixtime(0) --> 1970-01-01 00:00:00.000 UTC
SELECT from_unixtime(0, 'America/New_York') --> 1969-12-31 19:00:00.000 America/New_York
SELECT to_unixtime(TIMESTAMP '1970-01-02 00:00:00') --> 86400.0
SELECT TIMESTAMP '2024-01-01 00:00:00 UTC' AT TIME ZONE 'America/New_York'
--> 2023-12-31 19:00:00.000 America/New_York
SELECT ARRAY[TIMESTAMP '2024-01-01 10:00:00 America/New_York']
--> [2024-01-01 10:00:00.000 America/New_York]
SELECT hour(TIMESTAMP '2024-01-01 00:00:00 UTC' AT TIME ZONE 'America/New_York') --> 19
SELECT current_date --> 2024-03-05
SELECT CAST(current_date AS varchar) --> 2024-03-05
SELECT CAST(TIMESTAMP '2024-01-01 10:00:00.5' AS varchar) --> 2024-01-01 10:00:00.5
SELECT millisecond(TIMESTAMP '2024-01-01 13:14:15.678') --> 678
SELECT DATE '2024-01-01' < TIMESTAMP '2024-01-01 00:00:01' --> true

-- Arrays, maps, rows, lambdas
-- https://trino.io/docs/current/functions/array.html
-- https://trino.io/docs/current/functions/map.html
-- https://trino.io/docs/current/functions/lambda.html
SELECT ARRAY[1, 2][2] --> 2
SELECT element_at(ARRAY[1], 5) --> NULL
SELECT element_at(ARRAY[1, 2], -1) --> 2
SELECT ARRAY[1] || 2 --> [1, 2]
SELECT array_sort(ARRAY[3, NULL, 1]) --> [1, 3, null]
SELECT array_distinct(ARRAY[1, 1, NULL, NULL]) --> [1, null]
SELECT contains(ARRAY[1, NULL], 2) --> NULL
SELECT array_max(ARRAY[1, NULL]) --> NULL
SELECT array_join(ARRAY['a', NULL, 'b'], '-') --> a-b
SELECT array_join(ARRAY['a', NULL], '-', '?') --> a-?
SELECT slice(ARRAY[1, 2, 3, 4], -2, 2) --> [3, 4]
SELECT sequence(1, 10, 3) --> [1, 4, 7, 10]
SELECT sequence(3, 1) --> [3, 2, 1]
SELECT cardinality(sequence(DATE '2024-01-01', DATE '2024-03-01', INTERVAL '1' MONTH)) --> 3
SELECT transform(ARRAY[1, 2], x -> x * 2) --> [2, 4]
SELECT filter(ARRAY[1, 2, 3], x -> x > 1) --> [2, 3]
SELECT reduce(ARRAY[5, 20, 50], 0, (s, x) -> s + x, s -> s) --> 75
SELECT any_match(ARRAY[1, 2], x -> x > 1) --> true
SELECT map(ARRAY['a', 'b'], ARRAY[1, 2]) --> {a=1, b=2}
SELECT map(ARRAY['a'], ARRAY[1])['a'] --> 1
SELECT transform_values(map(ARRAY['a'], ARRAY[1]), (k, v) -> v + 1) --> {a=2}
SELECT map_filter(map(ARRAY['a', 'b'], ARRAY[1, 2]), (k, v) -> v > 1) --> {b=2}
SELECT CAST(ROW(1, 'x') AS row(a integer, b varchar)).b --> x
SELECT ROW(1, 'x') = ROW(1, 'x') --> true

-- JSON
-- https://trino.io/docs/current/functions/json.html
SELECT json_extract_scalar('{"a": [1, {"b": "x"}]}', '$.a[1].b') --> x
SELECT json_extract_scalar('{"a": {}}', '$.a') --> NULL
SELECT json_extract_scalar('not json', '$.a') --> NULL
SELECT json_extract('{"a": [1,2]}', '$.a') --> [1,2]
SELECT json_array_length('[1, 2]') --> 2
SELECT CAST(json_extract('{"a": 5}', '$.a') AS integer) --> 5

-- Conditions
-- https://trino.io/docs/current/functions/comparison.html
-- https://trino.io/docs/current/functions/conditional.html
SELECT NULL IS NOT DISTINCT FROM NULL --> true
SELECT 1 = NULL --> NULL
SELECT 3 NOT IN (1, NULL) --> NULL
SELECT 1 NOT BETWEEN 2 AND 3 --> true
SELECT IF(1 > 2, 'a') --> NULL
SELECT CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END --> two
SELECT NULLIF(1, 1) --> NULL
SELECT COALESCE(NULL, 1.5) --> 1.5
SELECT 1 = 1.0 --> true
SELECT 5 > ALL (SELECT x FROM (VALUES 1, 2) t(x)) --> true
SELECT 1 = ANY (SELECT x FROM (VALUES 1, 2) t(x)) --> true

-- Types of results
-- https://trino.io/docs/current/functions/decimal.html
-- https://trino.io/docs/current/language/types.html
SELECT typeof(1) --> integer
SELECT typeof(3000000000) --> bigint
SELECT typeof(DECIMAL '1.50') --> decimal(3,2)
SELECT typeof('abc') --> varchar(3)
SELECT typeof(CAST(1 AS decimal(12,2)) + CAST(1 AS decimal(12,2))) --> decimal(13,2)
SELECT typeof(CAST(1 AS decimal(12,2)) * CAST(1 AS decimal(10,3))) --> decimal(22,5)
SELECT typeof(CAST(1 AS decimal(12,2)) / CAST(1 AS decimal(10,3))) --> decimal(16,3)
SELECT typeof(CAST(1 AS decimal(5,2)) + 1) --> decimal(13,2)
SELECT typeof(CAST(1 AS decimal(5,2)) + 1e0) --> double
SELECT typeof(round(CAST(1 AS decimal(12,2)), 1)) --> decimal(13,2)
SELECT typeof(DATE '2024-01-01' - DATE '2024-01-01') --> interval day to second
SELECT typeof(ARRAY[1, DECIMAL '1.5']) --> array(decimal(11,1))

-- Money
-- https://trino.io/docs/current/functions/decimal.html
-- https://trino.io/docs/current/functions/aggregate.html
SELECT sum(x), avg(x), max(x) FROM (VALUES DECIMAL '10.55', DECIMAL '20.10') t(x)
--> 30.65 | 15.33 | 20.10
SELECT typeof(sum(x)), typeof(avg(x)) FROM (VALUES CAST(1 AS decimal(12,2))) t(x)
--> decimal(38,2) | decimal(12,2)
SELECT avg(x) OVER (ORDER BY x) FROM (VALUES DECIMAL '1.00', DECIMAL '2.01') t(x)
--> 1.00
--> 1.51
SELECT avg(x) FILTER (WHERE x > 1), avg(x) FILTER (WHERE x > 9) FROM (VALUES DECIMAL '1.00', DECIMAL '2.01') t(x)
--> 2.01 | NULL
SELECT sum(x) FROM (VALUES 1) t(x) WHERE false --> NULL

-- Aggregates
-- https://trino.io/docs/current/functions/aggregate.html
-- https://trino.io/docs/current/sql/select.html
SELECT count(*), count(x), count(DISTINCT x) FROM (VALUES 1, 1, NULL) t(x) --> 3 | 2 | 1
SELECT array_agg(x ORDER BY x DESC) FROM (VALUES 1, 2) t(x) --> [2, 1]
SELECT max_by(x, y), min_by(x, y) FROM (VALUES ('a', 1), ('b', 2)) t(x, y) --> b | a
SELECT max_by(x, y, 2) FROM (VALUES ('a', 1), ('b', 2), ('c', 3)) t(x, y) --> [c, b]
SELECT approx_distinct(x), approx_percentile(x, 0.5) FROM (VALUES 1, 2, 2) t(x) --> 2 | 2
SELECT listagg(x, ', ') WITHIN GROUP (ORDER BY x DESC) FROM (VALUES 'a', 'b') t(x) --> b, a
SELECT histogram(x), map_agg(x, x) FROM (VALUES 1, 2, 2) t(x) --> {1=1, 2=2} | {1=1, 2=2}
SELECT count_if(x > 1), bool_and(x > 0) FROM (VALUES 1, 2) t(x) --> 1 | true
SELECT sum(x) FILTER (WHERE x > 1) FROM (VALUES 1, 2, 3) t(x) --> 5
SELECT a, sum(b), grouping(a) FROM (VALUES ('x', 1), ('y', 2)) t(a, b) GROUP BY GROUPING SETS ((a), ()) ORDER BY 2
--> x | 1 | 0
--> y | 2 | 0
--> NULL | 3 | 1
SELECT a, b, sum(c) FROM (VALUES (1, 'x', 10), (1, 'y', 20)) t(a, b, c) GROUP BY ROLLUP (a, b) ORDER BY a, b
--> 1 | x | 10
--> 1 | y | 20
--> 1 | NULL | 30
--> NULL | NULL | 30
SELECT date_trunc('month', d), count(*) FROM (VALUES DATE '2024-01-05', DATE '2024-01-06') t(d) GROUP BY 1
--> 2024-01-01 | 2
SELECT a, sum(sum(b)) OVER () FROM (VALUES ('x', 1), ('y', 2)) t(a, b) GROUP BY a ORDER BY a
--> x | 3
--> y | 3

-- Windows
-- https://trino.io/docs/current/functions/window.html
SELECT x, rank() OVER (ORDER BY x), dense_rank() OVER (ORDER BY x) FROM (VALUES 1, 1, 2) t(x) ORDER BY x
--> 1 | 1 | 1
--> 1 | 1 | 1
--> 2 | 3 | 2
SELECT ntile(2) OVER w, percent_rank() OVER w, cume_dist() OVER w FROM (VALUES 1, 2) t(x) WINDOW w AS (ORDER BY x)
--> 1 | 0.0 | 0.5
--> 2 | 1.0 | 1.0
SELECT lag(x) OVER (ORDER BY x), lead(x, 1, 0) OVER (ORDER BY x) FROM (VALUES 1, 2) t(x) ORDER BY x
--> NULL | 2
--> 1 | 0
SELECT lag(x) IGNORE NULLS OVER (ORDER BY y) FROM (VALUES (1, 1), (NULL, 2), (3, 3)) t(x, y) ORDER BY y
--> NULL
--> 1
--> 1
SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES 1, 2, 3) t(x) ORDER BY x
--> 1
--> 3
--> 5
SELECT sum(x) OVER w FROM (VALUES 1, 2) t(x) WINDOW w AS (ORDER BY x) ORDER BY x
--> 1
--> 3

-- Order and limit: NULL comes last in both directions
-- https://trino.io/docs/current/sql/select.html
SELECT x FROM (VALUES 2, NULL, 1) t(x) ORDER BY x
--> 1
--> 2
--> NULL
SELECT x FROM (VALUES 2, NULL, 1) t(x) ORDER BY x DESC
--> 2
--> 1
--> NULL
SELECT x FROM (VALUES 2, NULL, 1) t(x) ORDER BY x NULLS FIRST LIMIT 1 --> NULL
SELECT x FROM (VALUES 1, 2, 3) t(x) ORDER BY x OFFSET 1 LIMIT 1 --> 2
SELECT x AS y FROM (VALUES 1, 2) t(x) ORDER BY -y
--> 2
--> 1

-- Sets, CTEs, subqueries, joins, UNNEST
-- https://trino.io/docs/current/sql/select.html
SELECT 1 UNION ALL SELECT 2.5 ORDER BY 1
--> 1.0
--> 2.5
SELECT 1 UNION SELECT 2 INTERSECT SELECT 3 --> 1
(SELECT 1) EXCEPT (SELECT 1) --> (no rows)
WITH a AS (SELECT 1 x), b(y) AS (SELECT x + 1 FROM a) SELECT * FROM a CROSS JOIN b --> 1 | 2
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT sum(n) FROM t
--> 6
SELECT x FROM (VALUES 1, 2) a(x) WHERE EXISTS (SELECT 1 FROM (VALUES 2) b(y) WHERE b.y = a.x) --> 2
SELECT x, (SELECT count(*) FROM (VALUES 1, 2) b(y) WHERE y <= x) FROM (VALUES 1, 2) a(x) ORDER BY 1
--> 1 | 1
--> 2 | 2
SELECT x FROM (VALUES (1, 2)) t(x, y) WHERE (x, y) IN (SELECT 1, 2) --> 1
SELECT x, a.y, b.y FROM (VALUES (1, 'a')) a(x, y) FULL JOIN (VALUES (2, 'b')) b(x, y) USING (x) ORDER BY x
--> 1 | a | NULL
--> 2 | NULL | b
SELECT * FROM (VALUES (1, 'a')) a(x, y) JOIN (VALUES (1, 'b')) b(x, z) USING (x) --> 1 | a | b
SELECT a, x, n FROM (VALUES ('p', ARRAY[10, 20])) t(a, xs) CROSS JOIN UNNEST(xs) WITH ORDINALITY AS u(x, n)
--> p | 10 | 1
--> p | 20 | 2
SELECT * FROM UNNEST(ARRAY[1, 2], ARRAY['a']) AS t(x, y)
--> 1 | a
--> 2 | NULL
SELECT k, v FROM UNNEST(map(ARRAY['a'], ARRAY[1])) AS t(k, v) --> a | 1
SELECT a, b FROM UNNEST(ARRAY[ROW(1, 'x')]) AS t(a, b) --> 1 | x
SELECT x FROM (VALUES ARRAY[]) t(xs) LEFT JOIN UNNEST(ARRAY[1]) u(x) ON true --> 1
VALUES (1, 'a'), (2, NULL)
--> 1 | a
--> 2 | NULL
SELECT DISTINCT x FROM (VALUES 1, 1) t(x) --> 1
