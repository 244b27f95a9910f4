-- DuckDB macros for functions that work differently in Trino. Runs once, at the first query.
SET TimeZone = 'UTC';
CREATE MACRO trino_fail(code, message) AS error('TRINO:' || code || ':' || message);

-- numbers
CREATE MACRO trino_ln(x) AS CASE WHEN x > 0 THEN ln(x) WHEN x = 0 THEN CAST('-inf' AS DOUBLE) WHEN x < 0 THEN CAST('nan' AS DOUBLE) ELSE x END;
CREATE MACRO trino_cbrt(x) AS CASE WHEN pow(round(cbrt(x)), 3) = x THEN round(cbrt(x)) ELSE cbrt(x) END;
CREATE MACRO trino_divide_integers(a, b) AS CASE WHEN b = 0 THEN trino_fail('DIVISION_BY_ZERO', 'Division by zero') ELSE a // b END;
CREATE MACRO trino_remainder(a, b) AS CASE WHEN b = 0 THEN trino_fail('DIVISION_BY_ZERO', 'Division by zero') ELSE a % b END;
-- the digits of a decimal as an integer: the value times ten to the power of its scale
CREATE MACRO trino_unscaled(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT);
-- x times unit (a power of ten below one)
CREATE MACRO trino_scaled(x, unit) AS CAST(x AS DECIMAL(38, 0)) * unit;
-- integer division, rounded half away from zero
CREATE MACRO trino_divide_half_up(n, d) AS
    CASE WHEN d = 0 THEN trino_fail('DIVISION_BY_ZERO', 'Division by zero')
    ELSE sign(n) * sign(d) * ((2 * abs(n) + abs(d)) // (2 * abs(d))) END;
CREATE MACRO trino_truncate(x, n) AS trunc(x * pow(10, n)) / pow(10, n);
CREATE MACRO trino_width_bucket(x, low, high, n) AS
    CASE WHEN x < low THEN 0 WHEN x >= high THEN n + 1 ELSE CAST(floor((x - low) / (high - low) * n) AS BIGINT) + 1 END;
CREATE MACRO trino_any_null(items, result) AS CASE WHEN len(list_filter(items, lambda x: x IS NULL)) = 0 THEN result END;

-- casts from text
CREATE MACRO trino_to_integer(x, name, result) AS
    CASE WHEN x IS NULL OR regexp_full_match(x, '\s*[+-]?\d+\s*') THEN result
    ELSE trino_fail('INVALID_CAST_ARGUMENT', 'Cannot cast ''' || x || ''' to ' || name) END;
CREATE MACRO trino_to_number(x, name, result) AS
    CASE WHEN x IS NULL OR result IS NOT NULL THEN result
    ELSE trino_fail('INVALID_CAST_ARGUMENT', 'Cannot cast ''' || x || ''' to ' || name) END;
CREATE MACRO trino_to_date(x) AS
    CASE WHEN x IS NULL OR regexp_full_match(x, '\s*[+-]?\d{4,}-\d{1,2}-\d{1,2}\s*') AND TRY_CAST(x AS DATE) IS NOT NULL THEN TRY_CAST(x AS DATE)
    ELSE trino_fail('INVALID_CAST_ARGUMENT', 'Value cannot be cast to date: ' || x) END;
CREATE MACRO trino_to_timestamp(x) AS
    CASE WHEN x IS NULL OR regexp_full_match(x, '\s*\d{4,}-\d{1,2}-\d{1,2}( \d{1,2}:\d{1,2}(:\d{1,2}(\.\d+)?)?)?\s*') AND TRY_CAST(x AS TIMESTAMP) IS NOT NULL
    THEN TRY_CAST(x AS TIMESTAMP)
    ELSE trino_fail('INVALID_CAST_ARGUMENT', 'Value cannot be cast to timestamp: ' || x) END;

-- text
CREATE MACRO trino_concat(items) AS CASE WHEN len(list_filter(items, lambda x: x IS NULL)) = 0 THEN array_to_string(items, '') END;
CREATE MACRO trino_substr(x, start) AS CASE WHEN start = 0 OR abs(start) > length(x) THEN CASE WHEN x IS NOT NULL THEN '' END ELSE substr(x, start) END;
CREATE MACRO trino_substr_length(x, start, n) AS
    CASE WHEN start = 0 OR abs(start) > length(x) OR n <= 0 THEN CASE WHEN x IS NOT NULL THEN '' END ELSE substr(x, start, n) END;
CREATE MACRO trino_split(x, separator, n) AS
    CASE WHEN len(string_split(x, separator)) <= n THEN string_split(x, separator)
    ELSE list_append(list_slice(string_split(x, separator), 1, n - 1), array_to_string(list_slice(string_split(x, separator), n, len(string_split(x, separator))), separator)) END;
CREATE MACRO trino_split_part(x, separator, n) AS list_extract(string_split(x, separator), n);
CREATE MACRO trino_split_to_map(x, separator, pair) AS
    map_from_entries(list_transform(string_split(x, separator),
        lambda e: struct_pack(k := string_split(e, pair)[1], v := string_split(e, pair)[2])));

-- dates and times
CREATE MACRO trino_unit(unit) AS
    CASE WHEN lower(unit) IN ('millisecond', 'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', 'year') THEN lower(unit)
    ELSE trino_fail('INVALID_FUNCTION_ARGUMENT', '''' || unit || ''' is not a valid Timestamp field') END;
CREATE MACRO trino_date_trunc(unit, x) AS date_trunc(trino_unit(unit), x);
CREATE MACRO trino_date_diff(unit, a, b) AS date_sub(trino_unit(unit), a, b);
CREATE MACRO trino_date_add(unit, n, x) AS
    CASE trino_unit(unit)
    WHEN 'millisecond' THEN x + to_milliseconds(n) WHEN 'second' THEN x + to_seconds(n) WHEN 'minute' THEN x + to_minutes(n)
    WHEN 'hour' THEN x + to_hours(n) WHEN 'day' THEN x + to_days(CAST(n AS INTEGER)) WHEN 'week' THEN x + to_weeks(CAST(n AS INTEGER))
    WHEN 'month' THEN x + to_months(CAST(n AS INTEGER)) WHEN 'quarter' THEN x + to_months(CAST(3 * n AS INTEGER))
    ELSE x + to_years(CAST(n AS INTEGER)) END;
CREATE MACRO trino_strptime(x, format) AS
    CASE WHEN x IS NULL OR try_strptime(x, format) IS NOT NULL THEN try_strptime(x, format)
    ELSE trino_fail('INVALID_FUNCTION_ARGUMENT', 'Invalid format: "' || x || '"') END;
CREATE MACRO trino_show_days(x) AS
    CASE WHEN x IS NULL THEN NULL ELSE
    (CASE WHEN epoch_ms(x) < 0 THEN '-' ELSE '' END) || printf('%d %02d:%02d:%02d.%03d',
        abs(epoch_ms(x)) // 86400000, abs(epoch_ms(x)) // 3600000 % 24, abs(epoch_ms(x)) // 60000 % 60,
        abs(epoch_ms(x)) // 1000 % 60, abs(epoch_ms(x)) % 1000) END;
CREATE MACRO trino_months(x) AS 12 * year(x) + month(x);
CREATE MACRO trino_show_months(x) AS
    CASE WHEN x IS NULL THEN NULL ELSE
    (CASE WHEN trino_months(x) < 0 THEN '-' ELSE '' END) || printf('%d-%d', abs(trino_months(x)) // 12, abs(trino_months(x)) % 12) END;

-- arrays and maps
CREATE MACRO trino_array_concat(items) AS CASE WHEN len(list_filter(items, lambda x: x IS NULL)) = 0 THEN flatten(items) END;
CREATE MACRO trino_array_distinct(items) AS list_filter(items, lambda x, i: i = 1 OR len(list_filter(items[1:i - 1], lambda y: y IS NOT DISTINCT FROM x)) = 0);
CREATE MACRO trino_contains(items, x) AS
    CASE WHEN items IS NULL OR x IS NULL THEN NULL WHEN list_contains(items, x) THEN true
    WHEN len(list_filter(items, lambda y: y IS NULL)) > 0 THEN NULL ELSE false END;
CREATE MACRO trino_subscript(items, i) AS
    CASE WHEN i IS NULL OR items IS NULL THEN NULL
    WHEN i = 0 THEN trino_fail('INVALID_FUNCTION_ARGUMENT', 'SQL array indices start at 1')
    WHEN i < 0 THEN trino_fail('INVALID_FUNCTION_ARGUMENT', 'Array subscript is negative: ' || i)
    WHEN i > len(items) THEN trino_fail('INVALID_FUNCTION_ARGUMENT', 'Array subscript must be less than or equal to array length: ' || i || ' > ' || len(items))
    ELSE list_extract(items, i) END;
CREATE MACRO trino_map_subscript(m, k) AS
    CASE WHEN m IS NULL OR k IS NULL THEN NULL
    WHEN NOT map_contains(m, k) THEN trino_fail('INVALID_FUNCTION_ARGUMENT', 'Key not present in map: ' || CAST(k AS VARCHAR))
    ELSE map_extract_value(m, k) END;
CREATE MACRO trino_too_long() AS
    trino_fail('INVALID_FUNCTION_ARGUMENT', 'result of sequence function must not have more than 10000 entries');
CREATE MACRO trino_limited(items) AS CASE WHEN len(items) > 10000 THEN trino_too_long() ELSE items END;
CREATE MACRO trino_sequence(start, stop, step) AS
    CASE WHEN step <> 0 AND (stop - start) // step >= 10000 THEN trino_too_long() ELSE generate_series(start, stop, step) END;
CREATE MACRO trino_slice(items, start, n) AS
    CASE WHEN start > 0 THEN list_slice(items, start, start + n - 1)
    ELSE list_slice(items, len(items) + start + 1, len(items) + start + n) END;
CREATE MACRO trino_histogram(m) AS map(map_keys(m), list_transform(map_values(m), lambda x: CAST(x AS BIGINT)));

-- if a key occurs twice, the first entry is kept
CREATE MACRO trino_map_of(entries) AS
    map_from_entries(list_filter(entries, lambda e, i: e.k IS NOT NULL AND list_position(list_transform(entries, lambda x: x.k), e.k) = i));

-- JSON
CREATE MACRO trino_json_parse(x) AS
    CASE WHEN x IS NULL OR json_valid(x) THEN TRY_CAST(x AS JSON)
    ELSE trino_fail('INVALID_FUNCTION_ARGUMENT', 'Cannot convert value to JSON: ''' || x || '''') END;
CREATE MACRO trino_json_extract(x, path) AS json_extract(CASE WHEN json_valid(x) THEN x END, path);
CREATE MACRO trino_json_scalar(x, path) AS
    CASE WHEN json_valid(CAST(x AS VARCHAR)) AND json_type(CAST(x AS VARCHAR), path) NOT IN ('OBJECT', 'ARRAY') THEN json_extract_string(CAST(x AS VARCHAR), path) END;
CREATE MACRO trino_json_size(x, path) AS
    CASE json_type(x, path) WHEN 'ARRAY' THEN json_array_length(x, path) WHEN 'OBJECT' THEN len(json_keys(x, path)) ELSE 0 END;
