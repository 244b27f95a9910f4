-- Which cities bring in the most?
-- The ten cities with the highest revenue of their locations, and the revenue of a location there.
SELECT
    coalesce(city, 'unknown') AS city,
    state,
    count(*) AS locations,
    sum(total_transactions) AS rentals,
    sum(total_revenue) AS revenue,
    CAST(avg(total_revenue) AS DECIMAL(38, 2)) AS revenue_per_location
FROM location_metrics
WHERE run_id = (SELECT max(run_id) FROM location_metrics)
GROUP BY coalesce(city, 'unknown'), state
ORDER BY revenue DESC, city ASC, state ASC
LIMIT 10
