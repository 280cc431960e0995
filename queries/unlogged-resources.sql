-- title: Data resources without a log of their data plane
-- description: Listed resources without a loaded diagnostic setting that sends a log, and without rows in any log.
--   Nobody can see what is done there.
-- columns: scope, resource_type, sku
SELECT r.scope, r.resource_type, r.sku
FROM resources AS r
WHERE translate(r.resource_type, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') IN (
    'microsoft.storage/storageaccounts', 'microsoft.keyvault/vaults', 'microsoft.servicebus/namespaces',
    'microsoft.eventhub/namespaces', 'microsoft.containerservice/managedclusters',
    'microsoft.containerregistry/registries', 'microsoft.documentdb/databaseaccounts')
    AND NOT EXISTS (
        SELECT 1 FROM diagnostic_settings AS d
        WHERE d.enabled AND (d.scope = r.scope OR starts_with(d.scope, r.scope || '/')))
    AND NOT EXISTS (SELECT 1 FROM request_access AS a WHERE a.resource = r.scope)
ORDER BY r.resource_type, r.scope
