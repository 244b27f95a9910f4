-- What has changed since the run before?
-- Rentals, revenue and customers of the two newest runs, the newest first; one row where there is only one run.
WITH business AS (
    SELECT
        run_id,
        max(rental_date) AS last_date,
        sum(total_transactions) AS rentals,
        sum(total_revenue) AS revenue
    FROM daily_metrics
    GROUP BY run_id
),

customers AS (
    SELECT
        run_id,
        count(*) AS customers
    FROM user_metrics
    GROUP BY run_id
)

SELECT
    business.run_id,
    business.last_date,
    business.rentals,
    business.revenue,
    customers.customers
FROM business
INNER JOIN customers ON business.run_id = customers.run_id
ORDER BY business.run_id DESC
LIMIT 2
