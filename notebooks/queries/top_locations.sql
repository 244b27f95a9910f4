-- Which locations earn the most?
-- The ten pickup locations with the highest revenue, and each one's share of all revenue in percent.
WITH newest AS (
    SELECT *
    FROM location_metrics
    WHERE run_id = (SELECT max(run_id) FROM location_metrics)
)

SELECT
    location_id,
    coalesce(location_name, concat('location ', CAST(location_id AS VARCHAR))) AS location_name,
    city,
    state,
    total_transactions AS rentals,
    total_revenue AS revenue,
    100 * CAST(total_revenue AS DOUBLE) / nullif((SELECT CAST(sum(total_revenue) AS DOUBLE) FROM newest), 0) AS revenue_percent
FROM newest
WHERE total_transactions > 0
ORDER BY total_revenue DESC, location_id ASC
LIMIT 10
