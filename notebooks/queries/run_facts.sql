-- What does the newest run hold?
-- The dates on which its rentals start, the rentals that all numbers count, their revenue, and the customers who made them.
SELECT
    run_id,
    min(rental_date) AS first_date,
    max(rental_date) AS last_date,
    count(*) AS days_with_rentals,
    sum(total_transactions) AS rentals,
    sum(total_revenue) AS revenue,
    CAST(sum(total_revenue) / sum(total_transactions) AS DECIMAL(38, 2)) AS mean_amount,
    (SELECT count(*) FROM user_metrics WHERE run_id = (SELECT max(run_id) FROM user_metrics)) AS customers
FROM daily_metrics
WHERE run_id = (SELECT max(run_id) FROM daily_metrics)
GROUP BY run_id
