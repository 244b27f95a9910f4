-- How much of the revenue comes from the best customers?
-- Customers in ten groups of equal size, the tenth that spends most first; each group's revenue and its share in percent.
WITH ranked AS (
    SELECT
        user_id,
        total_spent,
        ntile(10) OVER (ORDER BY total_spent DESC, user_id ASC) AS decile
    FROM user_metrics
    WHERE run_id = (SELECT max(run_id) FROM user_metrics)
)

SELECT
    decile,
    count(*) AS customers,
    sum(total_spent) AS revenue,
    100 * CAST(sum(total_spent) AS DOUBLE) / nullif((SELECT CAST(sum(total_spent) AS DOUBLE) FROM ranked), 0) AS revenue_percent
FROM ranked
GROUP BY decile
ORDER BY decile ASC
