"""Which layers of defence each identity can defeat, and what falls when one identity or machine falls."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, BOOL, INT = ColumnType.TEXT, ColumnType.TEXTS, ColumnType.BOOL, ColumnType.INT

_WHO = (
    key("principal_id", TEXT, "principal that can, by its own assignments and those of its groups"),
    key("scope", TEXT, "the subscription; a management group or the root where no subscription below it is known"),
    key("basis", TEXT, "granted (today), used (in the window), or proposed (under the last plan)"),
    key("state", TEXT, "active, or eligible: after an activation"),
)

LAYER_TABLES = (
    Table(
        "layer_defeats",
        "one row per layer of defence that a principal can weaken, disable or bypass in a subscription",
        (
            *_WHO,
            key("layer", TEXT, "the layer"),
            Column("operation", TEXT, "the worst operation that does it"),
            Column("plane", TEXT, "plane of that operation"),
            Column("effect", TEXT, "what that operation does: disable, bypass or weaken"),
            Column("control", TEXT, "the control that it defeats"),
            Column("operations", INT, "lower bound of the number of operations that defeat the layer"),
            Column("whole", BOOL, "in the whole subscription, not only in a part of it; false for what was used"),
            Column("conditional", BOOL, "only under a condition of the assignment or the role"),
            Column("complete", BOOL, "whether every listing is complete that a further row may rest on", computed=True),
        ),
        kind="answer",
    ),
    Table(
        "layer_violations",
        "one row per principal and subscription in which it can defeat two or more layers without a condition",
        (
            *_WHO,
            Column("layers", TEXTS, "the layers, from the inside to the outside"),
            Column("layer_count", INT, "their number"),
            Column("fewest", TEXTS, "the smallest set of operations that defeats them all"),
            Column("whole", BOOL, "two or more of them in the whole subscription"),
            Column("reach", INT, "layers of all subscriptions where the principal violates independence, summed"),
            Column("subscriptions", INT, "number of these subscriptions"),
            Column("complete", BOOL, "whether every listing is complete that a further row may rest on", computed=True),
        ),
        kind="answer",
    ),
    Table(
        "layer_matrix",
        "one row per (principal, subscription, basis, state) with a column a layer; filter it",
        (
            *_WHO,
            Column("host_integrity", BOOL, "can defeat host integrity"),
            Column("compute_isolation", BOOL, "can defeat compute isolation"),
            Column("network_segmentation", BOOL, "can defeat network segmentation"),
            Column("data_protection", BOOL, "can defeat data protection"),
            Column("identity_control", BOOL, "can defeat identity control"),
            Column("monitoring", BOOL, "can defeat monitoring"),
            Column("layer_count", INT, "number of layers"),
        ),
        kind="view",
    ),
)
