"""Declare the resource logs of storage accounts.

Source: Microsoft Learn, "Azure Blob Storage monitoring data reference".
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

_RULES = {
    # pattern,plane,observable_by,reason,source
    "observability": """
Microsoft.Storage/*/runAsSuperUser/action,data,,no_resource_log,Microsoft Learn: Access control in Azure Data Lake Storage; it is checked beside what was asked for
Microsoft.Storage/*/actAsSuperUser/action,data,,no_resource_log,Microsoft Learn: Azure Files data actions; it is checked beside what was asked for
Microsoft.Storage/*/bypassPermissions/action,data,,no_resource_log,Microsoft Learn: Azure Files data actions; it is checked beside what was asked for
Microsoft.Storage/*BackupSemantics/action,data,,no_resource_log,Microsoft Learn: Azure Files data actions; it is checked beside what was asked for
Microsoft.Storage/*/takeOwnership/action,data,,no_resource_log,Microsoft Learn: Azure Files data actions; it is checked beside what was asked for
Microsoft.Storage/*/runAsBuiltInFileAdministrator/action,data,,no_resource_log,Microsoft Learn: Azure Files data actions; it is checked beside what was asked for
Microsoft.Storage/*/manageOwnership/action,data,,no_resource_log,Microsoft Learn: Access control in Azure Data Lake Storage; requests name permissions and owner alike
Microsoft.Storage/*/modifyPermissions/action,data,,no_resource_log,Microsoft Learn: Access control in Azure Data Lake Storage; requests name permissions and owner alike
Microsoft.Storage/*/permanentDelete/action,data,,no_resource_log,Microsoft Learn: Delete Blob; a permanent delete is logged as any other
Microsoft.Storage/*,data,storage_log,,Microsoft Learn: Azure Storage resource logs (StorageRead; StorageWrite; StorageDelete)
""",
    # pattern,plane,log,resource_type,part,categories,source
    "resource_logs": """
Microsoft.Storage/storageAccounts/blobServices/*,data,storage_log,Microsoft.Storage/storageAccounts,blobServices/default,StorageRead StorageWrite StorageDelete,Microsoft Learn: Azure Storage resource logs; each service has settings of its own
Microsoft.Storage/storageAccounts/queueServices/*,data,storage_log,Microsoft.Storage/storageAccounts,queueServices/default,StorageRead StorageWrite StorageDelete,Microsoft Learn: Azure Storage resource logs; each service has settings of its own
Microsoft.Storage/storageAccounts/tableServices/*,data,storage_log,Microsoft.Storage/storageAccounts,tableServices/default,StorageRead StorageWrite StorageDelete,Microsoft Learn: Azure Storage resource logs; each service has settings of its own
Microsoft.Storage/storageAccounts/fileServices/*,data,storage_log,Microsoft.Storage/storageAccounts,fileServices/default,StorageRead StorageWrite StorageDelete,Microsoft Learn: Azure Storage resource logs; each service has settings of its own
""",
    # item,log,category,table,gb_per_1000_users,bytes_per_record,records_per_day,retained_days,licence,policies,source
    "log_tables": """
log:microsoft.storage/storageaccounts,storage_log,StorageRead StorageWrite StorageDelete,StorageBlobLogs,,640,10000,0,,b4fe1a3b-0715-4c6c-a5ea-ffc33cf823cb 25a70cc8-2bd4-47f1-90b6-1478e4662c96 7bd000e3-37c7-4928-9f31-86c4b77c5c45 2fb86bf3-d221-43d1-96d1-2434af34eaa0,Microsoft Learn: supported logs of Microsoft.Storage/storageAccounts/blobServices; 640 bytes is the mean of 11 records in panther-labs/panther-analysis; records a day are an assumption; the CIS Microsoft Azure Foundations Benchmark names the policies of blobs and files and queues and tables
""",
}

SOURCE = LogSource(
    name="storage",
    source="storage_log",
    records="storage",
    by_service=True,
    splits=True,
    covered=("StorageRead", "StorageWrite", "StorageDelete"),
    needed=("correlation_id", "operation_name"),
    tables=("storagebloblogs", "storagefilelogs", "storagequeuelogs", "storagetablelogs"),
    collected=("StorageBlobLogs", "StorageFileLogs", "StorageQueueLogs", "StorageTableLogs"),
    categories=("storageread", "storagewrite", "storagedelete"),
    category_stage=Stage.CATEGORY,
    recognised=(
        (
            Stage.LIKELY,
            "resource_key LIKE '%/microsoft.storage/storageaccounts/%/%services%' AND operation_name NOT LIKE '%/%'",
        ),
        (Stage.LIKELY, "coalesce(object_key, authentication) IS NOT NULL"),
    ),
    likely_keys=(frozenset({"authenticationtype"}), frozenset({"statustext"})),
    rules=_RULES,
)
