-- title: Calls with the tokens of a sign-in
-- description: Calls of every log that names the token, beside the sign-in that gave it. Without a sign-in the loaded
--   logs do not show who got the token: it is older than they are, or they aggregate it.
-- parameter: principal text = ''  object id, user principal name or application id; empty for everybody
-- parameter: token text = ''  id of one token; empty for all
-- columns: principal_id, name, signed_in, sign_in_kind, sign_in_ip, token_id, session_id, plane, source, calls, denied, operations, addresses, first_seen, last_seen
WITH wanted AS (
    SELECT translate(trim($principal), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS text
),
who AS (
    SELECT text AS principal_id FROM wanted
    UNION
    SELECT principal_id FROM principal_aliases WHERE alias = (SELECT text FROM wanted)
)
SELECT c.principal_id,
       coalesce(p.user_principal_name, p.display_name) AS name,
       c.signed_in,
       c.sign_in_kind,
       c.sign_in_ip,
       c.token_id,
       c.session_id,
       c.plane,
       c.source,
       c.calls,
       c.denied,
       c.operations,
       c.addresses,
       c.first_seen,
       c.last_seen
FROM token_calls c
LEFT JOIN principals p USING (principal_id)
WHERE ($principal = '' OR c.principal_id IN (SELECT principal_id FROM who))
  AND ($token = '' OR c.token_id = $token)
ORDER BY c.first_seen DESC, c.token_id, c.source, c.plane, c.principal_id, c.app_id
