-- The data contract with validation in DuckDB's SQL, for speed: straight from the CSV files, kept and rejected rentals, seven tables.
-- {raw}, {out} are filled in by run.py.

SET enable_progress_bar = false;

CREATE MACRO half_up(dividend, divisor) AS (2 * (dividend) + (divisor)) // (2 * (divisor)) * 0.01::DECIMAL(2, 2);
CREATE MACRO known(name) AS coalesce(nullif(trim(name), ''), 'unknown');
CREATE MACRO money(cents) AS cents * 0.01::DECIMAL(2, 2);

CREATE TABLE users AS
SELECT user_id, arg_min({{first_name: first_name, last_name: last_name, is_active: is_active}}, all_columns) AS chosen, row_number() OVER () AS user_key
FROM (SELECT trim(user_id) AS user_id, first_name, last_name, is_active, concat_ws(chr(1), *COLUMNS(*)) AS all_columns
    FROM read_csv('{raw}/users/*', header = true, all_varchar = true))
WHERE user_id <> '' GROUP BY user_id;

CREATE TABLE vehicles AS
SELECT vehicle_id, arg_min({{brand: brand, vehicle_type: vehicle_type}}, all_columns) AS chosen, row_number() OVER () AS vehicle_key
FROM (SELECT trim(vehicle_id) AS vehicle_id, brand, vehicle_type, concat_ws(chr(1), *COLUMNS(*)) AS all_columns
    FROM read_csv('{raw}/vehicles/*', header = true, all_varchar = true))
WHERE vehicle_id <> '' GROUP BY vehicle_id;

CREATE TABLE locations AS
SELECT location_id, unnest(chosen) FROM (
    SELECT location_id, arg_min({{location_name: location_name, city: city, state: state}}, all_columns) AS chosen
    FROM (SELECT TRY_CAST(location_id AS INTEGER) AS location_id, location_name, city, state,
            concat_ws(chr(1), *COLUMNS(*)) AS all_columns
        FROM read_csv('{raw}/locations/*', header = true, all_varchar = true))
    WHERE location_id IS NOT NULL GROUP BY location_id);

CREATE TABLE judged AS
WITH typed AS (
    SELECT trim(rental_id) AS rental_id, trim(user_id) AS user_id, trim(vehicle_id) AS vehicle_id,
        TRY_STRPTIME(trim(rental_start_time), '%Y-%m-%d %H:%M:%S') AS start_time,
        TRY_STRPTIME(trim(rental_end_time), '%Y-%m-%d %H:%M:%S') AS end_time,
        TRY_CAST(pickup_location AS INTEGER) AS pickup, TRY_CAST(dropoff_location AS INTEGER) AS dropoff,
        CASE WHEN NOT regexp_matches(total_amount, '\.[0-9]{{3}}') THEN TRY_CAST(total_amount AS DECIMAL(12, 2)) END AS amount
    FROM read_csv('{raw}/rental_transactions/*', header = true, all_varchar = true, ignore_errors = true))
SELECT typed.*, user_key, vehicle_key, concat_ws(',',
    CASE WHEN coalesce(rental_id, '') = '' THEN 'missing_rental_id' END,
    CASE WHEN coalesce(typed.user_id, '') = '' THEN 'missing_user_id' WHEN user_key IS NULL THEN 'unknown_user' END,
    CASE WHEN coalesce(typed.vehicle_id, '') = '' THEN 'missing_vehicle_id' WHEN vehicle_key IS NULL THEN 'unknown_vehicle' END,
    CASE WHEN start_time IS NULL THEN 'bad_start_time' END, CASE WHEN end_time IS NULL THEN 'bad_end_time' END,
    CASE WHEN end_time <= start_time THEN 'end_not_after_start' END,
    CASE WHEN amount IS NULL THEN 'bad_amount' WHEN amount < 0 THEN 'negative_amount' END,
    CASE WHEN p.location_id IS NULL THEN 'unknown_pickup_location' END,
    CASE WHEN d.location_id IS NULL THEN 'unknown_dropoff_location' END) AS reasons
FROM typed LEFT JOIN users USING (user_id) LEFT JOIN vehicles USING (vehicle_id)
    LEFT JOIN locations AS p ON pickup = p.location_id LEFT JOIN locations AS d ON dropoff = d.location_id;

CREATE TABLE repeated AS
SELECT rental_id FROM judged WHERE reasons = '' GROUP BY rental_id HAVING count(*) > 1;

CREATE TABLE kept AS
SELECT rental_id, user_key, vehicle_key, start_time, pickup, dropoff, (amount * 100)::BIGINT AS cents,
    epoch(end_time)::BIGINT - epoch(start_time)::BIGINT AS seconds
FROM judged WHERE reasons = '' AND rental_id NOT IN (SELECT rental_id FROM repeated)
UNION ALL
SELECT rental_id, user_key, vehicle_key, start_time, pickup, dropoff, (amount * 100)::BIGINT,
    epoch(end_time)::BIGINT - epoch(start_time)::BIGINT
FROM (SELECT *, row_number() OVER (PARTITION BY rental_id ORDER BY start_time, end_time, user_id, vehicle_id, pickup, dropoff, amount)
        AS place
    FROM judged WHERE reasons = '' AND rental_id IN (SELECT rental_id FROM repeated))
WHERE place = 1;

COPY (SELECT * FROM kept) TO '{out}/kept.parquet';
COPY (SELECT * FROM judged WHERE reasons <> '') TO '{out}/rejected.parquet';

CREATE TABLE rented AS
SELECT vehicle_key, count(*) AS n, sum(cents) AS cents, max(cents) AS most, min(cents) AS least, sum(seconds) AS seconds,
    max(seconds) AS longest, min(seconds) AS shortest, known(any_value(chosen.brand)) AS brand,
    known(any_value(chosen.vehicle_type)) AS type
FROM kept JOIN vehicles USING (vehicle_key) GROUP BY vehicle_key;

COPY (SELECT type AS vehicle_type, sum(n) AS total_rentals, money(sum(cents)) AS total_revenue,
    half_up(sum(cents), sum(n)) AS avg_rental_amount, money(max(most)) AS max_rental_amount, money(min(least)) AS min_rental_amount,
    half_up(sum(seconds), 36) AS total_rental_hours, half_up(sum(seconds), 36 * sum(n)) AS avg_rental_duration_hours,
    half_up(max(longest), 36) AS max_rental_duration_hours, half_up(min(shortest), 36) AS min_rental_duration_hours,
    count(*) AS unique_vehicles FROM rented GROUP BY type)
TO '{out}/vehicle_type_metrics.parquet';

COPY (SELECT brand, sum(n) AS total_rentals, money(sum(cents)) AS total_revenue, half_up(sum(cents), sum(n)) AS avg_rental_amount,
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
        SELECT users.user_id, chosen.first_name, chosen.last_name, chosen.is_active::INTEGER AS is_active, n AS total_rentals,
            money(cents) AS total_spent, half_up(cents, n) AS avg_rental_amount, money(most) AS max_rental_amount,
            money(least) AS min_rental_amount, half_up(seconds, 36) AS total_rental_hours,
            half_up(seconds, 36 * n) AS avg_rental_duration_hours, vehicles AS unique_vehicles_rented,
            half_up(below * 10000, (SELECT count(*) - 1 FROM spenders)) AS spending_percentile
        FROM spenders JOIN users USING (user_key) JOIN totals USING (cents))
    SELECT *, CASE WHEN spending_percentile >= 90 THEN 'Top Spender' WHEN spending_percentile >= 75 THEN 'High Spender'
        WHEN spending_percentile >= 50 THEN 'Medium Spender' WHEN spending_percentile >= 25 THEN 'Low Spender'
        ELSE 'Occasional Spender' END AS spending_category
    FROM ranked)
TO '{out}/user_metrics.parquet';
