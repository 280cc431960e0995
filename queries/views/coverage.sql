SELECT source, category,
    coalesce((SELECT spelling FROM base.scope_names AS n WHERE n.folded = c.scope), c.scope) AS scope,
    day, events, state, declared_by
FROM base.coverage AS c
