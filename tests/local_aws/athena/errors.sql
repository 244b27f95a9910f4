-- Invalid queries, each with words of the error that Athena returns.

SELECT run_id FROM (VALUES '2024') t(run_id) WHERE run_id = 2024
--> TYPE_MISMATCH: line 1:59: Cannot apply operator: varchar(4) = integer
SELECT 1 + 'a' --> TYPE_MISMATCH: line 1:10: Cannot apply operator: integer + varchar(1)
SELECT DATE '2024-01-01' = '2024-01-01' --> Cannot apply operator: date = varchar(10)
SELECT DATE '2024-01-01' + 1 --> Cannot apply operator: date + integer
SELECT 1 BETWEEN 'a' AND 'b' --> Cannot check if integer is BETWEEN varchar(1) and varchar(1)
SELECT 1 IN ('a') --> TYPE_MISMATCH
SELECT CASE WHEN true THEN 1 ELSE 'a' END --> All CASE results must be the same type
SELECT COALESCE(1, 'a') --> All COALESCE operands must be the same type
SELECT 'a' || 1 --> Unexpected parameters (varchar(1), integer) for function concat
SELECT 1 LIKE 'a' --> Left side of LIKE expression must evaluate to a varchar (actual: integer)
SELECT 1 WHERE 1 --> WHERE clause must evaluate to a boolean: actual type integer
SELECT NOT 1 --> Value of logical NOT expression must evaluate to a boolean (actual: integer)
SELECT CAST(ARRAY[1] AS varchar) --> TYPE_MISMATCH: line 1:8: Cannot cast array(integer) to varchar
SELECT CAST(1 AS string) --> Unknown type: string
SELECT 1 UNION SELECT 'a' --> column 1 in UNION query has incompatible types: integer, varchar(1)
SELECT 1, 2 UNION SELECT 1 --> UNION query has different number of fields: 2, 1
SELECT nope FROM (VALUES 1) t(x) --> COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved
SELECT x,
  t.nope FROM (VALUES 1) t(x)
--> COLUMN_NOT_FOUND: line 2:3: Column 't.nope' cannot be resolved
SELECT x AS y FROM (VALUES 1) t(x) WHERE y = 1 --> Column 'y' cannot be resolved
SELECT x AS y FROM (VALUES 1) t(x) GROUP BY y --> Column 'y' cannot be resolved
SELECT x FROM (VALUES 1) a(x), (VALUES 1) b(x) --> AMBIGUOUS_NAME: line 1:8: Column 'x' is ambiguous
SELECT x, y FROM (VALUES (1, 2)) t(x, y) GROUP BY x
--> EXPRESSION_NOT_AGGREGATE: line 1:11: 'y' must be an aggregate expression
SELECT sum(x), x FROM (VALUES 1) t(x) --> EXPRESSION_NOT_AGGREGATE: line 1:16
SELECT x FROM (VALUES 1) t(x) WHERE sum(x) > 1 --> WHERE clause cannot contain aggregations
SELECT x FROM (VALUES 1) t(x) GROUP BY 2 --> GROUP BY position 2 is not in select list
SELECT foo(1) --> FUNCTION_NOT_FOUND: line 1:8: Function 'foo' not registered
SELECT nvl(1, 2) --> Function 'nvl' not registered
SELECT sum('a') --> Unexpected parameters (varchar(1)) for function sum. Expected: sum(
SELECT row_number() --> Window function row_number requires an OVER clause
SELECT upper('a') OVER () --> Not a window function: upper
SELECT coalesce(1, 2) OVER () --> Not a window function: coalesce
SELECT upper('a') FILTER (WHERE true) --> Filter is only valid for aggregation functions
SELECT 1 / 0 --> DIVISION_BY_ZERO: Division by zero
SELECT DECIMAL '1.0' / 0 --> DIVISION_BY_ZERO
SELECT 1 % 0 --> DIVISION_BY_ZERO
SELECT 2147483647 + 1 --> NUMERIC_VALUE_OUT_OF_RANGE: integer addition overflow: 2147483647 + 1
SELECT CAST('abc' AS integer) --> INVALID_CAST_ARGUMENT: Cannot cast 'abc' to INT
SELECT CAST('1.5' AS integer) --> INVALID_CAST_ARGUMENT
SELECT CAST('2024-02-30' AS date)
--> INVALID_CAST_ARGUMENT: Value cannot be cast to date: 2024-02-30
SELECT (SELECT x FROM (VALUES 1, 2) t(x))
--> SUBQUERY_MULTIPLE_ROWS: Scalar sub-query has returned multiple rows
SELECT ARRAY[1, 2][3] --> Array subscript must be less than or equal to array length: 3 > 2
SELECT ARRAY[1][0] --> SQL array indices start at 1
SELECT date_trunc('foo', current_date) --> 'foo' is not a valid
SELECT json_parse('{bad') --> Cannot convert value to JSON: '{bad'
SELECT * FROM (VALUES 1) a(x) NATURAL JOIN (VALUES 1) b(x) --> Natural join not supported
SELECT * --> SELECT * not allowed in queries without FROM clause
SELECT ARRAY[INTERVAL '1' DAY]
--> local_aws does not support this: interval day to second inside an array
SELECT skewness(1) --> local_aws does not support this: the function skewness
SELECT date_format(now(), '%X') --> local_aws does not support this: the date format %X
SELECT x FROM (VALUES 1) t(x) FETCH FIRST 1 ROWS WITH TIES
--> local_aws does not support this: FETCH ... WITH TIES

-- sequence() makes no more than 10,000 entries
SELECT sequence(1, 10001) --> result of sequence function must not have more than 10000 entries
SELECT sequence(DATE '1990-01-01', DATE '2024-12-31', INTERVAL '1' DAY) --> must not have more than 10000 entries

-- Types that do not fit
SELECT DATE '2024-01-01' - '2024-01-01' --> Cannot apply operator: date - varchar(10)
SELECT TIMESTAMP '2024-01-01 00:00:00' = '2024-01-01'
--> Cannot apply operator: timestamp(0) = varchar(10)
SELECT 1 FROM (VALUES 1) a(x) JOIN (VALUES 'b') b(x) ON a.x = b.x
--> Cannot apply operator: integer = varchar(1)
SELECT * FROM (VALUES 1) a(x) JOIN (VALUES 'b') b(x) USING (x)
--> Column types of USING column 'x' are incompatible: integer, varchar(1)
SELECT 1 = ANY (SELECT x FROM (VALUES 'a') t(x)) --> Cannot apply operator: integer = varchar(1)
SELECT 1 IN (SELECT x FROM (VALUES 'a') t(x))
--> Value expression and result of subquery must be of the same type: integer vs varchar(1)
SELECT (SELECT 1, 2) --> Multiple columns returned by subquery are not yet supported. Found 2
SELECT NULLIF(1, 'a') --> Types are not comparable with NULLIF: integer vs varchar(1)
SELECT IF(1, 2) --> IF condition must evaluate to a boolean (actual: integer)
SELECT true AND 1 --> Logical expression term must evaluate to a boolean (actual: integer)
SELECT 1 HAVING 1 --> HAVING clause must evaluate to a boolean: actual type integer
SELECT CASE 1 WHEN 'a' THEN 2 END
--> CASE operand type does not match WHEN clause operand type: integer vs varchar(1)
SELECT -'a' --> Cannot negate varchar(1)
SELECT ARRAY[1, 'a'] --> All ARRAY elements must be the same type: integer
SELECT ARRAY[1]['a'] --> Cannot apply operator: array(integer)[varchar(1)]
SELECT ARRAY[1] || 'a' --> Cannot apply operator: array(integer) || varchar(1)
SELECT 1 AT TIME ZONE 'UTC' --> Type of value must be a time or timestamp
SELECT CAST(ROW(1) AS row(a integer)).b --> Column 'b' cannot be resolved
SELECT ROW(1, 2)[3] --> Subscript expression on ROW requires a constant index within its fields
SELECT * FROM (VALUES (1, 2), (3)) t --> Values rows have mismatched sizes
SELECT * FROM UNNEST(1) AS t(x) --> Cannot unnest type: integer
SELECT x FROM (VALUES 1, 'a') t(x) --> Values rows have mismatched types
SELECT CAST(DATE '2024-01-01' AS integer) --> Cannot cast date to integer
SELECT filter(ARRAY[1], x -> x + 1) --> Lambda expression must return boolean, not integer
SELECT transform(ARRAY[1], (x, y) -> x) --> Expected a lambda that takes 1 argument(s)
SELECT listagg(x, ',') WITHIN GROUP (ORDER BY x) FROM (VALUES 1) t(x)
--> Expected expression of varchar, but integer found
SELECT avg('a') --> Unexpected parameters (varchar(1)) for function avg
SELECT sum(x) FROM (VALUES DATE '2024-01-01') t(x) --> Unexpected parameters (date) for function sum
SELECT substr(1, 2) --> Unexpected parameters (integer, integer) for function substr
SELECT date_diff('day', '2024-01-01', DATE '2024-01-02')
--> Unexpected parameters (varchar(3), varchar(10), date) for function date_diff
SELECT greatest(1, 'a') --> Unexpected parameters (integer, varchar(1)) for function greatest

-- Values and names that do not exist
SELECT INTERVAL 'x' DAY --> Invalid INTERVAL DAY value: x
SELECT sum(x) OVER w FROM (VALUES 1) t(x) --> Cannot resolve WINDOW name w
SELECT * FROM nowhere.db.t --> Catalog 'nowhere' does not exist
SELECT map(ARRAY['a'], ARRAY[1])['b'] --> Key not present in map
SELECT format('%d %d', 1) --> Format specifier '%d'
SELECT 12345678901234567890123456789012345678901 --> Invalid numeric literal
