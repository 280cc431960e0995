-- One row a call: the begin, accept and end rows of one (correlation id, operation, scope) merged.
--
-- Reads `event_rows`, the columns of `stage_event_rows`, rows of calls merged before among them.
-- Gives the columns of `stage_event_rows` without file_id and line.
--
-- The earliest time; the highest outcome; every other field from the highest-ranked row that has it, and of several
-- such rows the bytewise smallest value, so that neither order nor repetition matters. A rank is one digit: before a
-- value it makes `min` prefer the higher rank, and it is cut off again. The spelling of operation and scope is the
-- earliest row's, then the bytewise smallest.
SELECT
    min(time) AS time,
    min(source) AS source,
    min(plane) AS plane,
    substr(min(CAST(4 - rank AS VARCHAR) || principal_id), 2) AS principal_id,
    substr(min(CAST(4 - rank AS VARCHAR) || principal_type), 2) AS principal_type,
    substr(min(CAST(4 - rank AS VARCHAR) || principal_name), 2) AS principal_name,
    substr(min(CAST(4 - rank AS VARCHAR) || app_id), 2) AS app_id,
    substr(min(strftime(time, '%Y%m%d%H%M%S%f') || operation), 21) AS operation,
    substr(min(strftime(time, '%Y%m%d%H%M%S%f') || scope), 21) AS scope,
    CASE max(rank) WHEN 4 THEN 'succeeded' WHEN 3 THEN 'failed' WHEN 2 THEN 'denied' WHEN 1 THEN 'started' ELSE 'other' END
        AS outcome,
    substr(min(CAST(4 - rank AS VARCHAR) || role_assignment_id), 2) AS role_assignment_id,
    substr(min(CAST(4 - rank AS VARCHAR) || role_definition_id), 2) AS role_definition_id,
    substr(min(CAST(4 - rank AS VARCHAR) || evidence_principal_id), 2) AS evidence_principal_id,
    min(correlation_id) AS correlation_id,
    substr(min(CAST(4 - rank AS VARCHAR) || event_id), 2) AS event_id,
    substr(min(CAST(4 - rank AS VARCHAR) || ip), 2) AS ip,
    substr(min(CAST(4 - rank AS VARCHAR) || token_id), 2) AS token_id,
    substr(min(CAST(4 - rank AS VARCHAR) || session_id), 2) AS session_id,
    key_correlation,
    key_operation,
    key_scope,
    min(category) AS category,
    max(rank) AS rank,
    substr(min(CAST(4 - rank AS VARCHAR) || access), 2) AS access
FROM event_rows
GROUP BY key_correlation, key_operation, key_scope
