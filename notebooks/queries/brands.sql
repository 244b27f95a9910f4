-- Which brands bring in the most?
-- The twenty brands with the highest revenue, with their rentals and the mean amount of one.
SELECT
    brand,
    total_rentals AS rentals,
    total_revenue AS revenue,
    avg_rental_amount,
    unique_vehicles
FROM brand_metrics
WHERE run_id = (SELECT max(run_id) FROM brand_metrics)
ORDER BY total_revenue DESC, brand ASC
LIMIT 20
