-- The whole data contract in DuckDB's SQL, to compare speed: reads the CSV files, writes the kept and
-- rejected rentals, the seven tables and the summary. run.py fills in {raw} and {out}.

SET enable_progress_bar = false;

CREATE MACRO half_up(dividend, divisor) AS (2 * (dividend) + (divisor)) // (2 * (divisor)) * 0.01::DECIMAL(2, 2);
CREATE MACRO money(cents) AS cents * 0.01::DECIMAL(2, 2);
CREATE MACRO or_unknown(field) AS coalesce(nullif(field, ''), 'unknown');
-- trim takes five times as long as this check, and few fields need it
CREATE MACRO text_of(field) AS CASE WHEN field < '!' OR field[-1] < '!'
    THEN trim(field, ' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13)) ELSE coalesce(field, '') END;
CREATE MACRO int_of(field) AS CASE WHEN regexp_full_match(field, '[+-]?[0-9]+') THEN TRY_CAST(field AS INTEGER) END;
CREATE MACRO time_of(field) AS CASE
    WHEN regexp_full_match(field, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}') AND field >= '0001'
    THEN TRY_STRPTIME(field, '%Y-%m-%d %H:%M:%S') END;
CREATE MACRO money_of(field) AS CASE
    WHEN regexp_full_match(field, '[+-]?([0-9]+(\.[0-9]{{0,2}})?|\.[0-9]{{1,2}})') THEN TRY_CAST(field AS DECIMAL(12, 2)) END;
CREATE MACRO is_negative(field) AS CASE WHEN starts_with(field, '-')
    THEN regexp_full_match(field, '-([0-9]+\.?[0-9]*|\.[0-9]+)') AND regexp_matches(field, '[1-9]') ELSE false END;

-- master tables: of duplicates, the smallest row (columns in header order) is kept; rows that do not fit the
-- header are ignored
CREATE TABLE users AS
SELECT user_id, arg_min({{first_name: first_name, last_name: last_name, is_active: is_active}}, all_columns) AS chosen,
    row_number() OVER () AS user_key, count(*) AS rows
FROM (SELECT *, concat_ws(chr(1), *COLUMNS(*)) AS all_columns
    FROM (SELECT text_of(COLUMNS(*)) FROM read_csv('{raw}/users/*', header = true, all_varchar = true, store_rejects = true,
        rejects_table = 'odd_users', rejects_scan = 'users_scan')))
WHERE user_id <> '' GROUP BY user_id;

CREATE TABLE vehicles AS
SELECT vehicle_id, or_unknown(chosen.brand) AS brand, or_unknown(chosen.vehicle_type) AS vehicle_type,
    row_number() OVER () AS vehicle_key, rows
FROM (SELECT vehicle_id, arg_min({{brand: brand, vehicle_type: vehicle_type}}, all_columns) AS chosen, count(*) AS rows
    FROM (SELECT *, concat_ws(chr(1), *COLUMNS(*)) AS all_columns
        FROM (SELECT text_of(COLUMNS(*)) FROM read_csv('{raw}/vehicles/*', header = true, all_varchar = true, store_rejects = true,
            rejects_table = 'odd_vehicles', rejects_scan = 'vehicles_scan')))
    WHERE vehicle_id <> '' GROUP BY vehicle_id);

CREATE TABLE locations AS
SELECT location_id, nullif(chosen.location_name, '') AS location_name, nullif(chosen.city, '') AS city,
    nullif(chosen.state, '') AS state
FROM (SELECT location_id, arg_min({{location_name: location_name, city: city, state: state}}, all_columns) AS chosen
    FROM (SELECT * REPLACE (int_of(location_id) AS location_id), concat_ws(chr(1), *COLUMNS(*)) AS all_columns
        FROM (SELECT text_of(COLUMNS(*)) FROM read_csv('{raw}/locations/*', header = true, all_varchar = true, ignore_errors = true)))
    WHERE location_id IS NOT NULL GROUP BY location_id);

-- rentals: the result of every rule for every row, and the original text of rows that may be rejected
CREATE TABLE repeated AS
SELECT text_of(rental_id) AS rental_id
FROM read_csv('{raw}/rental_transactions/*', header = true, all_varchar = true, ignore_errors = true)
GROUP BY ALL HAVING count(*) > 1 AND text_of(rental_id) <> '';

CREATE TABLE judged AS
WITH came AS (
    FROM read_csv('{raw}/rental_transactions/*', header = true, all_varchar = true, filename = 'source_file', store_rejects = true,
        rejects_table = 'malformed', rejects_scan = 'rentals_scan', force_not_null = ['rental_id', 'user_id', 'vehicle_id',
        'rental_start_time', 'rental_end_time', 'pickup_location', 'dropoff_location', 'total_amount'])),
typed AS (
    SELECT text_of(rental_id) AS id, text_of(user_id) AS user_id, text_of(vehicle_id) AS vehicle_id,
        time_of(text_of(rental_start_time)) AS start_time, time_of(text_of(rental_end_time)) AS end_time,
        int_of(text_of(pickup_location)) AS pickup, int_of(text_of(dropoff_location)) AS dropoff,
        money_of(text_of(total_amount)) AS amount, is_negative(text_of(total_amount)) AS negative, came
    FROM came),
ruled AS (
    SELECT typed.*, user_key, vehicle_key, repeated.rental_id IS NOT NULL AS contested, concat_ws(',',
        CASE WHEN id = '' THEN 'missing_rental_id' END,
        CASE WHEN typed.user_id = '' THEN 'missing_user_id' WHEN user_key IS NULL THEN 'unknown_user' END,
        CASE WHEN typed.vehicle_id = '' THEN 'missing_vehicle_id' WHEN vehicle_key IS NULL THEN 'unknown_vehicle' END,
        CASE WHEN start_time IS NULL THEN 'bad_start_time' END, CASE WHEN end_time IS NULL THEN 'bad_end_time' END,
        CASE WHEN end_time <= start_time THEN 'end_not_after_start' END,
        CASE WHEN amount IS NULL THEN 'bad_amount' END, CASE WHEN negative THEN 'negative_amount' END,
        CASE WHEN p.location_id IS NULL THEN 'unknown_pickup_location' END,
        CASE WHEN d.location_id IS NULL THEN 'unknown_dropoff_location' END) AS reasons
    FROM typed LEFT JOIN users USING (user_id) LEFT JOIN vehicles USING (vehicle_id)
        LEFT JOIN locations AS p ON pickup = p.location_id LEFT JOIN locations AS d ON dropoff = d.location_id
        LEFT JOIN repeated ON id = repeated.rental_id)
SELECT id AS rental_id, user_key, vehicle_key, start_time, end_time, pickup, dropoff, amount, reasons, contested,
    CASE WHEN contested OR reasons <> '' THEN came END AS came
FROM ruled;

CREATE TABLE settled AS
SELECT *, reasons = '' AND row_number() OVER (PARTITION BY rental_id ORDER BY reasons = '' DESC, start_time, end_time,
        text_of(came.user_id), text_of(came.vehicle_id), pickup, dropoff, amount, came) = 1 AS wins,
    bool_or(reasons = '') OVER (PARTITION BY rental_id) AS won
FROM judged WHERE contested;

CREATE TABLE kept AS
SELECT rental_id, user_key, vehicle_key, start_time, pickup, dropoff, (amount * 100)::BIGINT AS cents,
    epoch(end_time)::BIGINT - epoch(start_time)::BIGINT AS seconds
FROM (
    SELECT * EXCLUDE (came) FROM judged WHERE reasons = '' AND NOT contested
    UNION ALL
    SELECT * EXCLUDE (came, wins, won) FROM settled WHERE wins);

CREATE TABLE rejected AS
SELECT string_split(reasons, ',') AS reasons, came.*, NULL AS malformed_row FROM judged WHERE reasons <> '' AND NOT contested
UNION ALL BY NAME
SELECT string_split(concat_ws(',', nullif(reasons, ''), CASE WHEN won THEN 'duplicate_rental_id' END), ',') AS reasons, came.*
FROM settled WHERE NOT wins
UNION ALL BY NAME
SELECT DISTINCT ON (scan_id, file_id, line) ['malformed_row'] AS reasons, csv_line AS malformed_row, file_path AS source_file
FROM malformed JOIN rentals_scan USING (scan_id, file_id);

COPY kept TO '{out}/kept.parquet';
COPY rejected TO '{out}/rejected.parquet';

CREATE TABLE rented AS
SELECT vehicle_key, count(*) AS n, sum(cents) AS cents, max(cents) AS most, min(cents) AS least, sum(seconds) AS seconds,
    max(seconds) AS longest, min(seconds) AS shortest, any_value(brand) AS brand,
    any_value(vehicle_type) AS type
FROM kept JOIN vehicles USING (vehicle_key) GROUP BY vehicle_key;

COPY (SELECT type AS vehicle_type, sum(n)::BIGINT AS total_rentals, money(sum(cents)) AS total_revenue,
    half_up(sum(cents), sum(n)) AS avg_rental_amount, money(max(most)) AS max_rental_amount, money(min(least)) AS min_rental_amount,
    half_up(sum(seconds), 36) AS total_rental_hours, half_up(sum(seconds), 36 * sum(n)) AS avg_rental_duration_hours,
    half_up(max(longest), 36) AS max_rental_duration_hours, half_up(min(shortest), 36) AS min_rental_duration_hours,
    count(*) AS unique_vehicles FROM rented GROUP BY type)
TO '{out}/vehicle_type_metrics.parquet';

COPY (SELECT brand, sum(n)::BIGINT AS total_rentals, money(sum(cents)) AS total_revenue, half_up(sum(cents), sum(n)) AS avg_rental_amount,
    count(*) AS unique_vehicles FROM rented GROUP BY brand)
TO '{out}/brand_metrics.parquet';

COPY (
    SELECT locations.*, coalesce(n, 0) AS total_transactions, coalesce(money(cents), 0) AS total_revenue,
        half_up(cents, n) AS avg_transaction_amount, money(most) AS max_transaction_amount, money(least) AS min_transaction_amount,
        coalesce(dropoffs, 0) AS total_dropoffs, coalesce(vehicles, 0) AS unique_vehicles
    FROM locations
    LEFT JOIN (SELECT pickup AS location_id, count(*) AS n, sum(cents) AS cents, max(cents) AS most, min(cents) AS least
        FROM kept GROUP BY ALL) USING (location_id)
    LEFT JOIN (SELECT dropoff AS location_id, count(*) AS dropoffs FROM kept GROUP BY ALL) USING (location_id)
    LEFT JOIN (SELECT location_id, count(*) AS vehicles FROM (
        SELECT pickup AS location_id, vehicle_key FROM kept UNION SELECT dropoff, vehicle_key FROM kept) GROUP BY ALL)
        USING (location_id))
TO '{out}/location_metrics.parquet';

COPY (SELECT start_time::DATE AS rental_date, count(*) AS total_transactions, money(sum(cents)) AS total_revenue,
    half_up(sum(cents), count(*)) AS avg_transaction_amount, money(max(cents)) AS max_transaction_amount,
    money(min(cents)) AS min_transaction_amount, count(DISTINCT user_key) AS unique_users,
    count(DISTINCT vehicle_key) AS unique_vehicles FROM kept GROUP BY ALL)
TO '{out}/daily_metrics.parquet';

COPY (SELECT hour(start_time) AS hour_of_day, count(*) AS total_transactions, money(sum(cents)) AS total_revenue,
    half_up(sum(cents), count(*)) AS avg_transaction_amount FROM kept GROUP BY ALL)
TO '{out}/hourly_metrics.parquet';

COPY (SELECT dayname(start_time) AS day_of_week, isodow(start_time) AS day_number, count(*) AS total_transactions,
    money(sum(cents)) AS total_revenue, half_up(sum(cents), count(*)) AS avg_transaction_amount FROM kept GROUP BY ALL)
TO '{out}/day_of_week_metrics.parquet';

COPY (
    WITH spenders AS (
        SELECT user_key, sum(n) AS n, sum(cents) AS cents, max(most) AS most, min(least) AS least, sum(seconds) AS seconds,
            count(*) AS vehicles
        FROM (SELECT user_key, vehicle_key, count(*) AS n, sum(cents) AS cents, max(cents) AS most, min(cents) AS least,
                sum(seconds) AS seconds
            FROM kept GROUP BY ALL)
        GROUP BY user_key),
    totals AS (SELECT cents, sum(count(*)) OVER (ORDER BY cents) - count(*) AS below FROM spenders GROUP BY cents),
    ranked AS (
        SELECT users.user_id, nullif(chosen.first_name, '') AS first_name,
            nullif(chosen.last_name, '') AS last_name, int_of(chosen.is_active) AS is_active, n::BIGINT AS total_rentals,
            money(cents) AS total_spent, half_up(cents, n) AS avg_rental_amount, money(most) AS max_rental_amount,
            money(least) AS min_rental_amount, half_up(seconds, 36) AS total_rental_hours,
            half_up(seconds, 36 * n) AS avg_rental_duration_hours, vehicles AS unique_vehicles_rented,
            coalesce(half_up(below * 10000, nullif((SELECT count(*) - 1 FROM spenders), 0)), 0)::DOUBLE AS spending_percentile
        FROM spenders JOIN users USING (user_key) JOIN totals USING (cents))
    SELECT *, CASE WHEN spending_percentile >= 90 THEN 'Top Spender' WHEN spending_percentile >= 75 THEN 'High Spender'
        WHEN spending_percentile >= 50 THEN 'Medium Spender' WHEN spending_percentile >= 25 THEN 'Low Spender'
        ELSE 'Occasional Spender' END AS spending_category
    FROM ranked)
TO '{out}/user_metrics.parquet';

-- the summary, and the checks that the jobs do before they publish
COPY (
    SELECT (SELECT count(*) FROM judged) + (SELECT count(DISTINCT (scan_id, file_id, line)) FROM malformed) AS read,
        (SELECT count(*) FROM kept) AS kept, (SELECT count(*) FROM rejected) AS rejected,
        (SELECT money(sum(cents)) FROM kept) AS revenue,
        (SELECT histogram(reason) FROM (SELECT unnest(reasons) AS reason FROM rejected)) AS rejected_by_reason,
        (SELECT min(start_time) FROM kept) AS first_start, (SELECT max(start_time) FROM kept) AS last_start,
        (SELECT count(DISTINCT line) FROM odd_users) AS malformed_users, (SELECT sum(rows - 1) FROM users) AS duplicate_users,
        (SELECT count(DISTINCT line) FROM odd_vehicles) AS malformed_vehicles,
        (SELECT sum(rows - 1) FROM vehicles) AS duplicate_vehicles)
TO '{out}/summary.json';

SELECT CASE WHEN read <> kept + rejected OR rejected > 0.05 * read OR kept = 0 THEN error('rentals lost, or too many rejected') END
FROM '{out}/summary.json';

SELECT CASE WHEN (rentals, sums) <> (kept, revenue) THEN error(name || ' does not add up to all rentals') END
FROM (SELECT count(*) AS kept, money(sum(cents)) AS revenue FROM kept) CROSS JOIN (
    SELECT 'location_metrics' AS name, sum(total_transactions) AS rentals, sum(total_revenue) AS sums
    FROM '{out}/location_metrics.parquet'
    UNION ALL SELECT 'vehicle_type_metrics', sum(total_rentals), sum(total_revenue) FROM '{out}/vehicle_type_metrics.parquet'
    UNION ALL SELECT 'brand_metrics', sum(total_rentals), sum(total_revenue) FROM '{out}/brand_metrics.parquet'
    UNION ALL SELECT 'daily_metrics', sum(total_transactions), sum(total_revenue) FROM '{out}/daily_metrics.parquet'
    UNION ALL SELECT 'hourly_metrics', sum(total_transactions), sum(total_revenue) FROM '{out}/hourly_metrics.parquet'
    UNION ALL SELECT 'day_of_week_metrics', sum(total_transactions), sum(total_revenue) FROM '{out}/day_of_week_metrics.parquet'
    UNION ALL SELECT 'user_metrics', sum(total_rentals), sum(total_spent) FROM '{out}/user_metrics.parquet');
