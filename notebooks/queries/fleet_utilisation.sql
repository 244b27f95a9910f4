-- How well is the fleet used?
-- Rented hours a vehicle by type, over the vehicles that were rented at all, and what an hour brings in. Vehicles whose
-- type is not known come last.
SELECT
    vehicle_type,
    unique_vehicles AS vehicles,
    total_rental_hours,
    CAST(total_rental_hours AS DOUBLE) / unique_vehicles AS hours_per_vehicle,
    CAST(total_revenue / nullif(total_rental_hours, 0) AS DECIMAL(38, 2)) AS revenue_per_hour
FROM vehicle_type_metrics
WHERE run_id = (SELECT max(run_id) FROM vehicle_type_metrics)
ORDER BY CASE WHEN vehicle_type = 'unknown' THEN 1 ELSE 0 END ASC, hours_per_vehicle DESC, vehicle_type ASC
