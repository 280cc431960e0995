SELECT n.spelling AS scope, s.kind,
    coalesce((SELECT spelling FROM base.scope_names AS n WHERE n.folded = s.parent), s.parent) AS parent_scope,
    s.subscription_id,
    CASE WHEN s.resource_group IS NULL THEN NULL ELSE string_split(n.spelling, '/')[5] END AS resource_group,
    s.resource_type, s.display_name, s.listed
FROM base.scopes AS s JOIN base.scope_names AS n USING (folded)
