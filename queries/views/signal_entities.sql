SELECT e.* REPLACE (coalesce(e.principal_id, alias.principal_id) AS principal_id,
    coalesce((SELECT spelling FROM base.scope_names AS n WHERE n.folded = {folded[e.scope]}), e.scope) AS scope)
FROM base.signal_entities AS e
LEFT JOIN ({resolved}) AS alias ON e.entity_kind = 'principal' AND alias.alias = e.value
