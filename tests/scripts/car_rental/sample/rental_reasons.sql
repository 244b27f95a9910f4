-- The data contract's rules, written again for DuckDB: text in, one row a rental with all its reasons out.
WITH parsed AS (
    SELECT *,
           try_strptime(rental_start_time, '%Y-%m-%d %H:%M:%S') AS started,
           try_strptime(rental_end_time, '%Y-%m-%d %H:%M:%S') AS ended,
           CASE WHEN regexp_full_match(total_amount, '[+-]?\d+(\.\d{1,2})?')
                THEN CAST(total_amount AS DECIMAL(12, 2)) END AS amount
    FROM rental_transactions
),
ruled AS (
    SELECT *,
           CASE WHEN malformed THEN 'malformed_row' ELSE concat_ws(' ',
               CASE WHEN rental_id = '' THEN 'missing_rental_id' END,
               CASE WHEN user_id = '' THEN 'missing_user_id' END,
               CASE WHEN vehicle_id = '' THEN 'missing_vehicle_id' END,
               CASE WHEN started IS NULL THEN 'bad_start_time' END,
               CASE WHEN ended IS NULL THEN 'bad_end_time' END,
               CASE WHEN ended <= started THEN 'end_not_after_start' END,
               CASE WHEN amount IS NULL THEN 'bad_amount' END,
               CASE WHEN amount < 0 THEN 'negative_amount' END,
               CASE WHEN user_id <> '' AND user_id NOT IN (SELECT user_id FROM users) THEN 'unknown_user' END,
               CASE WHEN vehicle_id <> '' AND vehicle_id NOT IN (SELECT vehicle_id FROM vehicles) THEN 'unknown_vehicle' END,
               CASE WHEN pickup_location = '' OR pickup_location NOT IN (SELECT location_id FROM locations)
                    THEN 'unknown_pickup_location' END,
               CASE WHEN dropoff_location = '' OR dropoff_location NOT IN (SELECT location_id FROM locations)
                    THEN 'unknown_dropoff_location' END
           ) END AS reasons
    FROM parsed
),
kept AS (
    SELECT rental_id,
           arg_min(row_number, (started, ended, user_id, vehicle_id, pickup_location, dropoff_location, amount)) AS winner
    FROM ruled WHERE reasons = '' GROUP BY rental_id
)
SELECT ruled.row_number,
       concat_ws(' ', nullif(reasons, ''), CASE WHEN NOT malformed AND winner <> row_number THEN 'duplicate_rental_id' END)
           AS reasons
FROM ruled LEFT JOIN kept USING (rental_id)
