-- Which locations earn the most?
-- The ten pickup locations with the highest revenue, and each one's share of all revenue in percent. Where two have one name,
-- their ids tell them apart.
WITH newest AS (
    SELECT *
    FROM location_metrics
    WHERE run_id = (SELECT max(run_id) FROM location_metrics)
)

SELECT
    location_id,
    CASE
        WHEN location_name IS NULL THEN concat('location ', CAST(location_id AS VARCHAR))
        WHEN count(*) OVER (PARTITION BY location_name) > 1 THEN concat(location_name, ' (', CAST(location_id AS VARCHAR), ')')
        ELSE location_name
    END AS location_name,
    city,
    state,
    total_transactions AS rentals,
    total_revenue AS revenue,
    100 * CAST(total_revenue AS DOUBLE) / nullif((SELECT CAST(sum(total_revenue) AS DOUBLE) FROM newest), 0) AS revenue_percent
FROM newest
WHERE total_transactions > 0
ORDER BY total_revenue DESC, location_id ASC
LIMIT 10
