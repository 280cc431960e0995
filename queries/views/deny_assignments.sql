SELECT * EXCLUDE (version) REPLACE (
    coalesce((SELECT spelling FROM base.scope_names AS n WHERE n.folded = {folded[a.scope]}), a.scope) AS scope)
FROM base.deny_assignments AS a
