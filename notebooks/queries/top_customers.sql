-- Who spends the most?
-- The ten customers with the highest spending.
SELECT
    user_id,
    first_name,
    last_name,
    total_rentals AS rentals,
    total_spent,
    avg_rental_amount,
    spending_category
FROM user_metrics
WHERE run_id = (SELECT max(run_id) FROM user_metrics)
ORDER BY total_spent DESC, user_id ASC
LIMIT 10
