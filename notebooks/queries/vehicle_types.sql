-- Which vehicle types are rented most?
-- Every type with its rentals and revenue, and its share of each in percent.
WITH newest AS (
    SELECT *
    FROM vehicle_type_metrics
    WHERE run_id = (SELECT max(run_id) FROM vehicle_type_metrics)
)

SELECT
    vehicle_type,
    total_rentals AS rentals,
    100 * CAST(total_rentals AS DOUBLE) / (SELECT CAST(sum(total_rentals) AS DOUBLE) FROM newest) AS rentals_percent,
    total_revenue AS revenue,
    100 * CAST(total_revenue AS DOUBLE) / nullif((SELECT CAST(sum(total_revenue) AS DOUBLE) FROM newest), 0) AS revenue_percent,
    avg_rental_amount
FROM newest
ORDER BY total_rentals DESC, vehicle_type ASC
