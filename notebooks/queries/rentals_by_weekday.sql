-- On which weekdays do rentals start?
-- Rentals of each weekday for every such day in the window: a window that holds one Monday more than Tuesdays must not
-- make Mondays look busier.
WITH newest AS (
    SELECT *
    FROM day_of_week_metrics
    WHERE run_id = (SELECT max(run_id) FROM day_of_week_metrics)
),

window_of_dates AS (
    SELECT sequence(min(rental_date), max(rental_date), INTERVAL '1' DAY) AS dates
    FROM daily_metrics
    WHERE run_id = (SELECT max(run_id) FROM daily_metrics)
),

weekdays AS (
    SELECT
        day_of_week(days.rental_date) AS day_number,
        count(*) AS days_in_window
    FROM window_of_dates
    CROSS JOIN UNNEST(dates) AS days (rental_date)
    GROUP BY day_of_week(days.rental_date)
)

SELECT
    newest.day_number,
    newest.day_of_week,
    weekdays.days_in_window,
    newest.total_transactions AS rentals,
    newest.total_revenue AS revenue,
    CAST(newest.total_transactions AS DOUBLE) / weekdays.days_in_window AS rentals_per_day
FROM newest
INNER JOIN weekdays ON newest.day_number = weekdays.day_number
ORDER BY newest.day_number ASC
