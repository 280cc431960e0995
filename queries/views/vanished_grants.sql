SELECT source, grant_id, max(last_listed_on) AS last_listed_on, max(taken_on) AS missing_on
FROM base.grant_sightings LEFT JOIN base.grant_listings USING (source, place)
GROUP BY source, grant_id HAVING bool_and(coalesce(last_listed_on < taken_on, false))
