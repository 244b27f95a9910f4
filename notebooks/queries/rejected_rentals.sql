-- Why were rentals rejected?
-- Rejected rentals of the newest published run by reason. A rental that breaks several rules counts at each of them;
-- rejected_in_all counts it once.
WITH rejected AS (
    SELECT reasons
    FROM rejected_rentals
    WHERE run_id = (SELECT max(run_id) FROM daily_metrics)
)

SELECT
    broken.reason,
    count(*) AS rentals,
    (SELECT count(*) FROM rejected) AS rejected_in_all
FROM rejected
CROSS JOIN UNNEST(rejected.reasons) AS broken (reason)
GROUP BY broken.reason
ORDER BY rentals DESC, broken.reason ASC
