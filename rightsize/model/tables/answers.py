"""What was concluded: verdicts, proposals, findings, jobs, and what falls when one identity or machine falls."""

from rightsize.model.plan import PROPOSAL_KINDS
from rightsize.model.schema import BOOL, INT, REAL, TEXT, TEXTS, TIME, Column, Table, key

ANSWER_TABLES = (
    Table(
        "verdicts",
        "one row per operation that is used, unexplained or used before the window only; one counted row per "
        "(assignment, plane, scope, verdict, reason) for all other operations",
        (
            key("role_assignment_id", TEXT, "the assignment or other grant; null for unexplained use"),
            key("state", TEXT, "state of the assignment; null for unexplained use"),
            key("principal_id", TEXT, "who acted, for used and unexplained; else the holder of the assignment"),
            key("plane", TEXT, "control, data or graph"),
            key("scope", TEXT, "where it was used, for used and unexplained; else where the verdict holds"),
            key("verdict", TEXT, "used, unused, unobservable, out_of_coverage or unexplained"),
            key("reason", TEXT, "why: how use was attributed, or why no verdict of use is possible"),
            key(
                "operation",
                TEXT,
                "the operation; null for counted rows; of Graph the permission, unexplained the request",
            ),
            Column("operations", INT, "number of operations of the row, in a counted row without those of other rows"),
            Column(
                "set_id",
                TEXT,
                "for a counted row the set of its operations in verdict_operation_sets, including those with their own "
                "row; null for other rows, and where no catalogue lists the operations",
            ),
            Column("events", INT, "calls"),
            Column("days", INT, "days with a call"),
            Column("first_seen", TIME, "first call in the window, or in the days before it that count"),
            Column("last_seen", TIME, "last call in the window, or in the days before it that count"),
            Column(
                "covered_days",
                INT,
                "for the reason covered_in_part: the days of the window that all logs cover on which the row rests",
            ),
        ),
        kind="answer",
    ),
    Table(
        "verdict_operation_sets",
        "one row per (set, operation): the distinct sets of operations behind counted verdicts",
        (
            key("set_id", TEXT, "hash of the operations and planes of the set"),
            key("operation", TEXT, "the operation, or the action of a directory role"),
            key("plane", TEXT, "control, data or directory"),
        ),
        kind="answer",
    ),
    Table(
        "proposals",
        "one row per proposal of the last plan",
        (
            key("proposal_id", TEXT, "stable id"),
            Column(
                "kind",
                TEXT,
                ", ".join(PROPOSAL_KINDS),
            ),
            Column("plane", TEXT, "control, data, graph or directory"),
            Column("principal_ids", TEXTS, "principals that it concerns, sorted"),
            Column("replaces", TEXTS, "assignments that it replaces, sorted"),
            Column("reason", TEXT, "why"),
            Column("excess_before", REAL, "risk-weighted excess today"),
            Column("excess_after", REAL, "risk-weighted excess after it"),
            Column("plan", TEXT, "the proposal of plan.json with all its keys"),
            Column("complete", BOOL, "whether every listing is complete that a further row may rest on", computed=True),
        ),
        kind="answer",
    ),
    Table(
        "next_steps",
        "one row per change of the last plan, in the order in which changes are best made; wave 0 has kept ones, too",
        (
            key("rank", INT, "place in the order, from 1"),
            Column(
                "wave",
                INT,
                "0 today, what gives the tenant away, 1 orphans and duplicates, 2 removals that are proved unused, "
                "3 the five of each plane that buy most, 4 the rest",
            ),
            Column("proposal_id", TEXT, "id of the proposal"),
            Column("plane", TEXT, "azure_roles, directory or graph; shares count each plane for itself"),
            Column("kind", TEXT, "kind of the proposal"),
            Column("principal_id", TEXT, "holder of the assignment"),
            Column("principal", TEXT, "its display name; whoever created it chose the name, so do not trust it"),
            Column("role", TEXT, "name of the role or permission of today"),
            Column("scope", TEXT, "scope of today"),
            Column("does", TEXT, "the change, in words"),
            Column("excess_removed", REAL, "live excess that it removes, weighted by risk"),
            Column("latent_removed", REAL, "excess on absent resource types that it removes; no share counts it"),
            Column("share", REAL, "part of the live excess that the plan can remove in the plane, from 0 to 1"),
            Column("running_share", REAL, "the share of this and all earlier steps of the plane"),
            Column("new_roles", TEXTS, "names of the new roles that it needs"),
            Column("roles_to_create", INT, "number of those that no earlier step creates"),
            Column("people", INT, "people that it touches, members of a group included"),
            Column("workloads", INT, "service principals and managed identities that it touches"),
            Column("break_probability_30d", REAL, "expected chance that it breaks something within 30 days"),
            Column("break_bound_30d", REAL, "upper bound of that chance; null where the plan has none"),
            Column("reason", TEXT, "why, in one clause"),
            Column("together_with", TEXTS, "ids of proposals that have to go in the same wave"),
            Column("complete", BOOL, "whether every listing is complete that a further row may rest on", computed=True),
        ),
        kind="answer",
    ),
    Table(
        "credential_verdicts",
        "one row per federated credential with its verdict by the last analysis",
        (
            key("grant_id", TEXT, "role_assignment_id of its verdict: object_id and name, ASCII lower case"),
            Column("object_id", TEXT, "object id of the application, or resource id of the identity"),
            Column("name", TEXT, "name of the credential"),
            Column("principal_id", TEXT, "whom it signs in; null where no listing has the principal"),
            Column("platform", TEXT, "who issues the tokens, as GitHub Actions; other where no rule knows"),
            Column("trusts", TEXT, "what its subject is, in plain words"),
            Column("breadth", TEXT, "exact, or what the subject takes in"),
            Column("risk", TEXT, "low, medium or high"),
            Column("why", TEXT, "why it is a risk; empty where it is none"),
            Column("verdict", TEXT, "used, unused, unobservable or out_of_coverage"),
            Column("reason", TEXT, "why, as in verdicts"),
            Column("because", TEXT, "the same in a sentence"),
            Column("sign_ins", INT, "sign-ins by it that gave a token"),
            Column("days", INT, "days with one"),
            Column("first_seen", TIME, "first of them"),
            Column("last_seen", TIME, "last of them"),
            Column("resources", TEXTS, "what the tokens were for"),
            Column("subjects", TEXTS, "subjects that signed in by it, where the logs of their runs are loaded"),
        ),
        kind="answer",
    ),
    Table(
        "findings",
        "one row per finding of the last analysis",
        (
            key("control", TEXT, "name of the control"),
            key("subject", TEXT, "id of the assignment, principal or resource"),
            Column("principal_id", TEXT, "principal that it concerns"),
            Column("severity", TEXT, "low, medium or high"),
            Column("reason", TEXT, "one sentence"),
            Column("complete", BOOL, "whether every listing is complete that a further row may rest on", computed=True),
        ),
        kind="answer",
    ),
    Table(
        "granted",
        "one row per role assignment, permission of an application or directory role, and plane that it reaches",
        (
            key("grant_id", TEXT, "id of the role assignment, app role assignment, permission grant or directory role"),
            key("state", TEXT, "active, eligible or activated"),
            key("plane", TEXT, "control, data, graph (any API) or directory; null where no listing has the role"),
            key("granted", TEXT, "name of the role or permission, its id where no listing names it"),
            Column("principal_id", TEXT, "who holds it; of a delegated permission the application"),
            Column("access", TEXT, "role, application or delegated"),
            Column("scope", TEXT, "where; of a permission the object id of the API, of one user's consent the user"),
            Column("conditional", BOOL, "only under a condition, of the assignment or in the role"),
        ),
        kind="view",
    ),
    Table(
        "granted_operations",
        "one row per (assignment, operation); never stored: filter by principal or operation",
        (
            key("role_assignment_id", TEXT, "the assignment"),
            key("state", TEXT, "its state"),
            key("operation", TEXT, "the operation"),
            key("plane", TEXT, "control or data"),
            Column("principal_id", TEXT, "holder of the assignment"),
            Column("role_definition_id", TEXT, "the role"),
            Column("scope", TEXT, "where"),
            Column("conditional", BOOL, "by a condition on the assignment or in the role"),
        ),
        kind="view",
    ),
    Table(
        "verdict_operations",
        "one row per (assignment, operation) with its verdict by the last analysis; never stored: filter by principal "
        "or operation",
        (
            key("role_assignment_id", TEXT, "the assignment or other grant"),
            key("state", TEXT, "its state"),
            key("operation", TEXT, "the operation; of Graph the permission"),
            key("plane", TEXT, "control, data, graph or directory"),
            Column("principal_id", TEXT, "holder of the assignment"),
            Column("scope", TEXT, "where it is assigned"),
            Column("verdict", TEXT, "used, unused, unobservable or out_of_coverage"),
            Column("reason", TEXT, "why"),
            Column("observable_by", TEXT, "log that shows it"),
            Column("events", INT, "calls that count"),
            Column("last_seen", TIME, "the last of them"),
        ),
        kind="view",
    ),
)


DONE_BY = ("all", "most", "few")
"""How many of the holders of a job use an operation; most are at least half."""

_JOB = "the job: the first of its operations by name, and its plane"

JOB_TABLES = (
    Table(
        "jobs",
        "one row per job of the last plan: a group of operations that the same principals use",
        (
            key("job", TEXT, _JOB),
            Column("name", TEXT, "what it is for, in the words that a role for it gets"),
            Column("role", TEXT, "id of the new role that the plan makes for it; null where it makes none"),
            Column("holder_count", INT, "number of principals that have the job, members of groups counted singly"),
            Column("operation_count", INT, "number of operations of the job"),
        ),
        kind="answer",
    ),
    Table(
        "job_operations",
        "one row per (job, operation) that its holders used",
        (
            key("job", TEXT, _JOB),
            key("operation", TEXT, "the operation; reads of Azure Resource Manager belong to no job"),
            key("plane", TEXT, "control or data"),
            Column("used_by", INT, "number of holders of the job that used it"),
            Column("share", REAL, "their part of all holders of the job, from 0 to 1"),
            Column("done_by", TEXT, "all, most (at least half) or few of the holders"),
            Column("is_in_role", BOOL, "a role for the job has it; else only an add-on gives it to those who used it"),
        ),
        kind="answer",
    ),
    Table(
        "job_holders",
        "one row per (job, principal) that has the job",
        (
            key("job", TEXT, _JOB),
            key("principal_id", TEXT, "who did the work: a member of a group singly"),
            Column("groups", TEXTS, "groups through whose assignments it did the work of the job, sorted"),
            Column("used_operations", INT, "number of operations of the job that it used"),
            Column("own_operations", TEXTS, "operations that it used beyond all its jobs, sorted"),
            Column(
                "alone_operations",
                TEXTS,
                "operations that it used and no other holder of the job, sorted; those of its other jobs left out",
            ),
        ),
        kind="answer",
    ),
)


REACH_TABLES = (
    Table(
        "escalations",
        "one row per way in which held access gives further access (rules/), in one step",
        (
            key(
                "principal_id", TEXT, "who holds it; a group stands for its members; issuer and subject of an outsider"
            ),
            key("rule", TEXT, "the kind of escalation"),
            key("plane", TEXT, "control, data, graph, directory, owner, agent, group, delegated, federated or vault"),
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
