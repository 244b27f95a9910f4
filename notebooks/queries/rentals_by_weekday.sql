-- On which weekdays do rentals start?
-- Rentals of each weekday for every such day in the window: a window that holds one Monday more than Tuesdays must not
-- make Mondays look busier.
WITH newest AS (
    SELECT *
    FROM day_of_week_metrics
    WHERE run_id = (SELECT max(run_id) FROM day_of_week_metrics)
),

window_of_dates AS (
    SELECT
        day_of_week(min(rental_date)) AS first_day_number,
        date_diff('day', min(rental_date), max(rental_date)) AS days_after_the_first
    FROM daily_metrics
    WHERE run_id = (SELECT max(run_id) FROM daily_metrics)
),

weekdays AS (
    SELECT
        newest.day_number,
        -- the first such day of the window and one every week after it: a whole number, as integers divide into integers
        (days_after_the_first - mod(newest.day_number - first_day_number + 7, 7) + 7) / 7 AS days_in_window
    FROM newest
    CROSS JOIN window_of_dates
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
