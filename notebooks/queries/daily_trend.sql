-- How does business develop from day to day?
-- Every day of the window, days without rentals included, and the mean of the seven days that end with it (from the
-- seventh day on: before that there is no full week). The window is ten years at most, up to the last day with rentals:
-- Athena's sequence() makes no more than 10,000 entries.
WITH newest AS (
    SELECT *
    FROM daily_metrics
    WHERE run_id = (SELECT max(run_id) FROM daily_metrics)
),

calendar AS (
    SELECT days.rental_date
    FROM (
        SELECT
            sequence(
                greatest(min(rental_date), max(rental_date) - INTERVAL '10' YEAR), max(rental_date), INTERVAL '1' DAY
            ) AS dates
        FROM newest
    )
    CROSS JOIN UNNEST(dates) AS days (rental_date)
),

daily AS (
    SELECT
        calendar.rental_date,
        coalesce(newest.total_transactions, 0) AS rentals,
        coalesce(newest.total_revenue, CAST(0 AS DECIMAL(38, 2))) AS revenue
    FROM calendar
    LEFT JOIN newest ON calendar.rental_date = newest.rental_date
)

SELECT
    rental_date,
    rentals,
    revenue,
    CASE
        WHEN row_number() OVER (ORDER BY rental_date ASC) >= 7
            THEN CAST(avg(revenue) OVER (ORDER BY rental_date ASC ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS DECIMAL(38, 2))
    END AS mean_revenue_7_days
FROM daily
ORDER BY rental_date ASC
