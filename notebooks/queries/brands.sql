-- Which brands bring in the most?
-- Every brand by revenue, with its rentals and the mean amount of one.
SELECT
    brand,
    total_rentals AS rentals,
    total_revenue AS revenue,
    avg_rental_amount,
    unique_vehicles
FROM brand_metrics
WHERE run_id = (SELECT max(run_id) FROM brand_metrics)
ORDER BY total_revenue DESC, brand ASC
