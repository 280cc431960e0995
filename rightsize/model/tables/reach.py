"""What falls when one identity or one machine falls: escalation edges, and everything that they lead to."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, BOOL, INT = ColumnType.TEXT, ColumnType.TEXTS, ColumnType.BOOL, ColumnType.INT

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
