-- A vault without the setting decides by policies; without any setting nothing is known of it.
SELECT scope, CASE WHEN settings IS NULL THEN NULL
    WHEN lower((settings::JSON ->> 'enableRbacAuthorization')) = 'true' THEN '{roles}' ELSE '{policies}' END AS model,
    {folded[(settings::JSON ->> 'tenantId')]} AS tenant_id,
    coalesce(json_type(settings::JSON, '$.accessPolicies') = 'ARRAY', false) AS policies_known,
    lower((settings::JSON ->> 'enabledForDeployment')) = 'true' AS enabled_for_deployment,
    lower((settings::JSON ->> 'enabledForDiskEncryption')) = 'true' AS enabled_for_disk_encryption,
    lower((settings::JSON ->> 'enabledForTemplateDeployment')) = 'true' AS enabled_for_template_deployment,
    lower((settings::JSON ->> 'enablePurgeProtection')) = 'true' AS purge_protection
FROM base.resources WHERE {folded[resource_type]} = '{vault}'
