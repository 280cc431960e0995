-- title: Federated credentials and their use
-- description: Every outside subject that an application or a user-assigned identity trusts: what it is, who signs in
--   by it, when last, and whether it is used. Needs a run of `analyze` or `propose`.
-- parameter: principal text = ''  object id, application id or name of the principal; empty for all
-- columns: principal, principal_id, name, platform, trusts, risk, verdict, because, sign_ins, days, last_seen, resources, subjects
WITH wanted AS (
    SELECT translate(trim($principal), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS text
),
who AS (
    SELECT text AS principal_id FROM wanted
    UNION
    SELECT principal_id FROM principal_aliases WHERE alias = (SELECT text FROM wanted)
    UNION
    SELECT principal_id FROM principals
    WHERE translate(display_name, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') = (SELECT text FROM wanted)
)
SELECT coalesce(p.display_name, v.object_id) AS principal,
       v.principal_id,
       v.name,
       v.platform,
       v.trusts,
       v.risk,
       v.verdict,
       v.because,
       v.sign_ins,
       v.days,
       v.last_seen,
       array_to_string(v.resources, ', ') AS resources,
       array_to_string(v.subjects, ', ') AS subjects
FROM credential_verdicts v
LEFT JOIN principals p USING (principal_id)
WHERE $principal = '' OR v.principal_id IN (SELECT principal_id FROM who)
ORDER BY v.verdict, v.risk, v.object_id, v.name
