-- The places from which each principal called and signed in, on each day from `$first` to `$last`.
SELECT coalesce(p.principal_id, alias.principal_id) AS principal_id, p.is_sign_in, p.app_id, p.network, p.country,
    p.network_number, p.day
FROM base.place_days AS p LEFT JOIN ({resolved}) AS alias
    ON p.principal_id IS NULL AND alias.alias = p.principal_name
WHERE coalesce(p.principal_id, alias.principal_id) IS NOT NULL AND p.day BETWEEN $first AND $last
