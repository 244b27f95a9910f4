-- At which hours do rentals start?
-- All 24 hours of the day (UTC), also those in which nothing was rented.
WITH newest AS (
    SELECT *
    FROM hourly_metrics
    WHERE run_id = (SELECT max(run_id) FROM hourly_metrics)
)

SELECT
    hours.hour_of_day,
    coalesce(newest.total_transactions, 0) AS rentals,
    coalesce(newest.total_revenue, CAST(0 AS DECIMAL(38, 2))) AS revenue
FROM UNNEST(sequence(0, 23)) AS hours (hour_of_day)
LEFT JOIN newest ON hours.hour_of_day = newest.hour_of_day
ORDER BY hours.hour_of_day ASC
