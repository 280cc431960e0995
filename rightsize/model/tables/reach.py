"""What falls when one identity or machine falls: escalation edges, all that they lead to, and layers of defence."""

from rightsize.model.schema import BOOL, INT, TEXT, TEXTS, Column, Table, key

REACH_TABLES = (
    Table(
        "escalations",
        "one row per way in which held access gives further access (rules/), in one step",
        (
            key(
                "principal_id", TEXT, "who holds it; a group stands for its members; issuer and subject of an outsider"
            ),
            key("rule", TEXT, "the kind of escalation"),
            key("plane", TEXT, "control, data, graph, directory, owner, agent, group, delegated or federated"),
            key("permission", TEXT, "operation, permission, directory role, or type of the owned or trusting object"),
            key("scope", TEXT, "where it is held; / is the tenant"),
            key("state", TEXT, "active or eligible"),
            Column("gains", TEXT, "the kind of access that it gives"),
            Column("targets", INT, "number of resources, principals or objects that it gives"),
            Column("certain", BOOL, "false where it also depends on something that nothing loaded shows"),
            Column("what", TEXT, "description of the step"),
            Column("complete", BOOL, "whether every listing is complete that a further row may rest on", computed=True),
        ),
        kind="answer",
    ),
    Table(
        "reach",
        "one row per principal, resource or outside subject: everything that falls with it, in any number of steps",
        (
            key("subject", TEXT, "object id, resource id in ASCII lower case, or issuer and subject of an outsider"),
            key("kind", TEXT, "principal, resource, or outsider: trusted by a federated credential"),
            key("basis", TEXT, "granted (today), used (in the window), or proposed (under the last plan)"),
            key("state", TEXT, "active, or eligible: after all activations"),
            Column("identities", INT, "further principals that it can act as"),
            Column("resources", INT, "machines, and resources with a managed identity, on which it can run code"),
            Column("secrets", INT, "vaults, accounts and disks whose contents it can get"),
            Column("subscriptions", INT, "subscriptions in which it can defeat a layer of defence"),
            Column("layers", TEXTS, "layers of defence that it can defeat anywhere, from the inside to the outside"),
            Column(
                "planes",
                TEXTS,
                "planes on which it can change or read more than this row shows: control, data, graph, directory",
            ),
            Column("cells", INT, "(subscription, layer) pairs that it can defeat"),
            Column("own_cells", INT, "of these, the pairs that need no further step"),
            Column("takes_tenant", BOOL, "it can become Global Administrator, or assign roles at the root"),
            Column("tenant_steps", INT, "smallest number of steps to that; null where it cannot"),
            Column("complete", BOOL, "whether every listing is complete that a further row may rest on", computed=True),
        ),
        kind="answer",
    ),
    Table(
        "reach_layers",
        "one row per layer that a principal or resource can defeat in a subscription through further steps only",
        (
            key("subject", TEXT, "object id, resource id in ASCII lower case, or issuer and subject of an outsider"),
            key("basis", TEXT, "granted, used or proposed"),
            key("state", TEXT, "active or eligible"),
            key("scope", TEXT, "the subscription"),
            key("layer", TEXT, "the layer"),
            Column("complete", BOOL, "whether every listing is complete that a further row may rest on", computed=True),
        ),
        kind="answer",
    ),
)


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
