-- The data contract in DuckDB's SQL: the tables that the Spark jobs have to compute.
-- `raw_text` in contract.py loads the raw tables as text.

CREATE MACRO text_of(field) AS trim(coalesce(field, ''),
    chr(32) || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(160) || chr(8203) || chr(65279));
CREATE MACRO int_of(field) AS CASE WHEN regexp_full_match(field, '[+-]?[0-9]+') THEN TRY_CAST(field AS INTEGER) END;
CREATE MACRO is_number(field) AS regexp_full_match(field, '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)');
CREATE MACRO money_of(field) AS CASE
    WHEN is_number(field) AND NOT regexp_matches(field, '\.[0-9]{3}') THEN TRY_CAST(field AS DECIMAL(12, 2)) END;
CREATE MACRO time_of(field) AS CASE
    WHEN regexp_full_match(field, '[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}') AND field[1:4] BETWEEN '1970' AND '2099'
    THEN TRY_STRPTIME(field, '%Y-%m-%d %H:%M:%S') END;
-- dividend / divisor in hundredths, rounded half up, in 128-bit integers throughout
CREATE MACRO hundredths(number) AS (number)::DECIMAL(36, 0) * 0.01::DECIMAL(2, 2);
CREATE MACRO half_up(dividend, divisor) AS (2::HUGEINT * (dividend) + (divisor)) // (2::HUGEINT * (divisor));

-- master tables: of several valid rows with the same id, the smallest by all columns in header order
CREATE TABLE told_locations AS
SELECT row, int_of(text_of(location_id)) AS id, CASE WHEN problem IS NOT NULL THEN problem
    WHEN text_of(location_id) = '' THEN 'missing_id' WHEN id IS NULL THEN 'bad_id' END AS reason
FROM raw_locations;

CREATE TABLE told_users AS
SELECT row, text_of(user_id) AS id, CASE WHEN problem IS NOT NULL THEN problem
    WHEN id = '' THEN 'missing_id' WHEN lower(id) = 'user_id' THEN 'bad_id' END AS reason
FROM raw_users;

CREATE TABLE told_vehicles AS
SELECT row, text_of(vehicle_id) AS id, CASE WHEN problem IS NOT NULL THEN problem
    WHEN id = '' THEN 'missing_id' WHEN lower(id) = 'vehicle_id' THEN 'bad_id' END AS reason
FROM raw_vehicles;

CREATE VIEW rejected_locations AS
SELECT [reason] AS reasons, raw_locations.* EXCLUDE (row, problem) FROM raw_locations JOIN told_locations USING (row)
WHERE reason IS NOT NULL;

CREATE VIEW rejected_users AS
SELECT [reason] AS reasons, raw_users.* EXCLUDE (row, problem) FROM raw_users JOIN told_users USING (row)
WHERE reason IS NOT NULL;

CREATE VIEW rejected_vehicles AS
SELECT [reason] AS reasons, raw_vehicles.* EXCLUDE (row, problem) FROM raw_vehicles JOIN told_vehicles USING (row)
WHERE reason IS NOT NULL;

CREATE TABLE locations AS
SELECT * EXCLUDE (place) FROM (
    SELECT *, row_number() OVER (PARTITION BY id
        ORDER BY location_id, location_name, address, city, state, zip_code, latitude, longitude) AS place
    FROM (SELECT id, text_of(COLUMNS(* EXCLUDE (row, id, reason))) FROM raw_locations JOIN told_locations USING (row)
        WHERE reason IS NULL))
WHERE place = 1;

CREATE TABLE users AS
SELECT * EXCLUDE (place) FROM (
    SELECT *, row_number() OVER (PARTITION BY id
        ORDER BY first_name, last_name, email, phone_number, driver_license_number, driver_license_expiry, creation_date,
            is_active) AS place
    FROM (SELECT id, text_of(COLUMNS(* EXCLUDE (row, id, reason))) FROM raw_users JOIN told_users USING (row)
        WHERE reason IS NULL))
WHERE place = 1;

CREATE TABLE vehicles AS
SELECT vehicle_id, coalesce(nullif(brand, ''), 'unknown') AS brand, coalesce(nullif(vehicle_type, ''), 'unknown') AS vehicle_type
FROM (
    SELECT *, row_number() OVER (PARTITION BY id
        ORDER BY active, vehicle_license_number, registration_name, license_type, expiration_date, permit_license_number,
            certification_date, vehicle_year, base_telephone_number, base_address, last_update_timestamp, brand, vehicle_type
        ) AS place
    FROM (SELECT id, text_of(COLUMNS(* EXCLUDE (row, id, reason))) FROM raw_vehicles JOIN told_vehicles USING (row)
        WHERE reason IS NULL))
WHERE place = 1;

-- rentals: the result of every rule for every row
CREATE TABLE typed AS
SELECT row, source_file, problem, text_of(rental_id) AS rental_id, text_of(user_id) AS user_id,
    text_of(vehicle_id) AS vehicle_id, time_of(text_of(rental_start_time)) AS start_time,
    time_of(text_of(rental_end_time)) AS end_time, int_of(text_of(pickup_location)) AS pickup,
    int_of(text_of(dropoff_location)) AS dropoff, money_of(text_of(total_amount)) AS amount,
    text_of(total_amount) AS amount_text
FROM raw_rental_transactions;

CREATE TABLE broken AS
SELECT row, problem AS reason FROM typed WHERE problem IS NOT NULL
UNION ALL
SELECT row, unnest(reasons) FROM (
    SELECT row, list_filter([
        CASE WHEN rental_id = '' THEN 'missing_rental_id' END,
        CASE WHEN user_id = '' THEN 'missing_user_id' END,
        CASE WHEN vehicle_id = '' THEN 'missing_vehicle_id' END,
        CASE WHEN start_time IS NULL THEN 'bad_start_time' END,
        CASE WHEN end_time IS NULL THEN 'bad_end_time' END,
        CASE WHEN end_time <= start_time THEN 'end_not_after_start' END,
        CASE WHEN amount IS NULL THEN 'bad_amount' END,
        CASE WHEN is_number(amount_text) AND regexp_matches(amount_text, '^-.*[1-9]') THEN 'negative_amount' END,
        CASE WHEN user_id <> '' AND user_id NOT IN (SELECT user_id FROM users) THEN 'unknown_user' END,
        CASE WHEN vehicle_id <> '' AND vehicle_id NOT IN (SELECT vehicle_id FROM vehicles) THEN 'unknown_vehicle' END,
        CASE WHEN pickup IS NULL OR pickup NOT IN (SELECT id FROM locations) THEN 'unknown_pickup_location' END,
        CASE WHEN dropoff IS NULL OR dropoff NOT IN (SELECT id FROM locations) THEN 'unknown_dropoff_location' END
    ], lambda reason: reason IS NOT NULL) AS reasons
    FROM typed WHERE problem IS NULL);

CREATE TABLE kept AS
SELECT * EXCLUDE (place) FROM (
    SELECT typed.*, row_number() OVER (PARTITION BY typed.rental_id
        ORDER BY start_time, end_time, typed.user_id, typed.vehicle_id, pickup, dropoff, amount, raw.rental_id, raw.user_id,
            raw.vehicle_id, rental_start_time, rental_end_time, pickup_location, dropoff_location, total_amount,
            raw.source_file) AS place
    FROM typed JOIN raw_rental_transactions AS raw USING (row)
    WHERE row NOT IN (SELECT row FROM broken))
WHERE place = 1;

INSERT INTO broken
SELECT row, 'duplicate_rental_id' FROM typed
WHERE problem IS NULL AND rental_id IN (SELECT rental_id FROM kept) AND row NOT IN (SELECT row FROM kept);

CREATE VIEW kept_rentals AS
SELECT rental_id, user_id, vehicle_id, start_time, end_time, pickup AS pickup_location, dropoff AS dropoff_location,
    amount AS total_amount
FROM kept;

CREATE VIEW rejected_rentals AS
SELECT (SELECT list_sort(list(reason)) FROM broken WHERE broken.row = raw.row) AS reasons, raw.* EXCLUDE (row, problem)
FROM raw_rental_transactions AS raw
WHERE row IN (SELECT row FROM broken);

-- cents and seconds, from which every measure is computed
CREATE TABLE rentals AS
SELECT kept.*, (amount * 100)::HUGEINT AS cents, epoch(end_time)::HUGEINT - epoch(start_time)::HUGEINT AS seconds,
    brand, vehicle_type
FROM kept JOIN vehicles USING (vehicle_id);

CREATE VIEW location_metrics AS
SELECT id AS location_id, nullif(location_name, '') AS location_name, nullif(city, '') AS city, nullif(state, '') AS state,
    count(pickup) AS total_transactions, coalesce(hundredths(sum(cents)), 0) AS total_revenue,
    hundredths(half_up(sum(cents), nullif(count(pickup), 0))) AS avg_transaction_amount,
    hundredths(max(cents)) AS max_transaction_amount, hundredths(min(cents)) AS min_transaction_amount,
    (SELECT count(*) FROM rentals AS back WHERE back.dropoff = id) AS total_dropoffs,
    (SELECT count(DISTINCT vehicle_id) FROM rentals AS seen WHERE seen.pickup = id OR seen.dropoff = id) AS unique_vehicles
FROM locations LEFT JOIN rentals ON pickup = id
GROUP BY ALL;

CREATE VIEW vehicle_type_metrics AS
SELECT vehicle_type, count(*) AS total_rentals, hundredths(sum(cents)) AS total_revenue,
    hundredths(half_up(sum(cents), count(*))) AS avg_rental_amount,
    hundredths(max(cents)) AS max_rental_amount, hundredths(min(cents)) AS min_rental_amount,
    hundredths(half_up(sum(seconds), 36)) AS total_rental_hours,
    hundredths(half_up(sum(seconds), 36 * count(*))) AS avg_rental_duration_hours,
    hundredths(half_up(max(seconds), 36)) AS max_rental_duration_hours,
    hundredths(half_up(min(seconds), 36)) AS min_rental_duration_hours,
    count(DISTINCT vehicle_id) AS unique_vehicles
FROM rentals GROUP BY vehicle_type;

CREATE VIEW brand_metrics AS
SELECT brand, count(*) AS total_rentals, hundredths(sum(cents)) AS total_revenue,
    hundredths(half_up(sum(cents), count(*))) AS avg_rental_amount, count(DISTINCT vehicle_id) AS unique_vehicles
FROM rentals GROUP BY brand;

CREATE VIEW daily_metrics AS
SELECT start_time::DATE AS rental_date, count(*) AS total_transactions, hundredths(sum(cents)) AS total_revenue,
    hundredths(half_up(sum(cents), count(*))) AS avg_transaction_amount,
    hundredths(max(cents)) AS max_transaction_amount, hundredths(min(cents)) AS min_transaction_amount,
    count(DISTINCT user_id) AS unique_users, count(DISTINCT vehicle_id) AS unique_vehicles
FROM rentals GROUP BY ALL;

CREATE TABLE spenders AS
SELECT user_id, count(*) AS rentals, sum(cents) AS cents, max(cents) AS most, min(cents) AS least, sum(seconds) AS seconds,
    count(DISTINCT vehicle_id) AS vehicles
FROM rentals GROUP BY user_id;

CREATE TABLE percentiles AS
SELECT spenders.*, coalesce(half_up(
    (SELECT count(*) FROM spenders AS other WHERE other.cents < spenders.cents) * 10000,
    nullif((SELECT count(*) FROM spenders) - 1, 0)), 0) / 100 AS spending_percentile
FROM spenders;

CREATE VIEW user_metrics AS
SELECT user_id, nullif(first_name, '') AS first_name, nullif(last_name, '') AS last_name, CASE WHEN is_active IN ('0', '1') THEN is_active::INTEGER END AS is_active,
    rentals AS total_rentals, hundredths(cents) AS total_spent, hundredths(half_up(cents, rentals)) AS avg_rental_amount,
    hundredths(most) AS max_rental_amount, hundredths(least) AS min_rental_amount,
    hundredths(half_up(seconds, 36)) AS total_rental_hours,
    hundredths(half_up(seconds, 36 * rentals)) AS avg_rental_duration_hours,
    vehicles AS unique_vehicles_rented, spending_percentile,
    CASE WHEN spending_percentile >= 90 THEN 'Top Spender' WHEN spending_percentile >= 75 THEN 'High Spender'
        WHEN spending_percentile >= 50 THEN 'Medium Spender' WHEN spending_percentile >= 25 THEN 'Low Spender'
        ELSE 'Occasional Spender' END AS spending_category
FROM percentiles JOIN users USING (user_id);

CREATE VIEW hourly_metrics AS
SELECT hour(start_time) AS hour_of_day, count(*) AS total_transactions, hundredths(sum(cents)) AS total_revenue,
    hundredths(half_up(sum(cents), count(*))) AS avg_transaction_amount
FROM rentals GROUP BY ALL;

CREATE VIEW day_of_week_metrics AS
SELECT dayname(start_time) AS day_of_week, isodow(start_time) AS day_number, count(*) AS total_transactions,
    hundredths(sum(cents)) AS total_revenue, hundredths(half_up(sum(cents), count(*))) AS avg_transaction_amount
FROM rentals GROUP BY ALL;
