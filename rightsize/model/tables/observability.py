"""Declare the tables about what is missing from a store: what it would decide, and what came of that."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, BOOL, INT, REAL, DAY = (
    ColumnType.TEXT,
    ColumnType.TEXTS,
    ColumnType.BOOL,
    ColumnType.INT,
    ColumnType.REAL,
    ColumnType.DAY,
)

OBSERVABILITY_TABLES: tuple[Table, ...] = (
    Table(
        "observability_options",
        "one row a missing listing, log, setting or declaration that would decide something, by the last run of `logs`",
        (
            key(
                "item", TEXT, "the missing thing, for example inventory, activity_log or log:microsoft.keyvault/vaults"
            ),
            Column("title", TEXT, "the same in words"),
            Column("rank", INT, "its place in the order of what it would decide"),
            Column("excess", INT, "excess that it would decide at most: weight by risk times reach of the assignment"),
            Column("excess_alone", INT, "the part of it for which nothing else is missing"),
            Column("share", REAL, "excess, as a share of all excess that is undecided, 0 to 1"),
            Column("expected", INT, "the part that is unused if it is as in like scopes; null where none is alike"),
            Column("operations", INT, "undecided operations behind it, over all assignments"),
            Column("assignments", INT, "assignments that grant them"),
            Column("needs", TEXTS, "other missing things that a part of the excess also needs, sorted"),
            Column("gb_per_month", REAL, "gigabytes a month; null where nothing says it"),
            Column("gb_source", TEXT, "where the volume comes from: rows of this store, a stated figure, or assumed"),
            Column("is_assumed", BOOL, "nothing at hand says the number of records, so it is assumed"),
            Column("records_per_month", INT, "records a month by the rows of like sources, else assumed; or null"),
            Column("price_per_month", REAL, "price of a month; 0 for what is free or paid; null where it is not known"),
            Column("currency", TEXT, "currency of the price"),
            Column("plan", TEXT, "plan or destination of the price"),
            Column("price_as_of", DAY, "day on which the oldest of its prices was read"),
            Column("price_source", TEXT, "where the prices were read"),
            Column("is_sent", BOOL, "diagnostic settings send it already: it only has to be loaded"),
            Column("licence", TEXT, "licence that it takes, if any"),
            Column("decides_on", DAY, "day on which it decides if it is switched on at the end of the window"),
            Column("chosen", BOOL, "in the best set under --budget, or a part of it; null without a budget"),
            Column("commands", TEXTS, "what to do, in order"),
            Column("policy_commands", TEXTS, "instead of a setting: the commands that assign built-in policies"),
        ),
        kind="answer",
    ),
    Table(
        "observability_parts",
        "one row a missing thing and scope, of what is missing scope by scope, by the last run of `logs`",
        (
            key("item", TEXT, "the missing thing, as in observability_options"),
            key("scope", TEXT, "subscription, management group or / where it is missing; empty where nothing tells"),
            Column("rank", INT, "its place among the scopes of the missing thing"),
            Column("excess", INT, "excess that it would decide at most at this scope"),
            Column("excess_alone", INT, "the part of it for which nothing else is missing, at other scopes either"),
            Column("share", REAL, "excess, as a share of all excess that is undecided, 0 to 1"),
            Column("operations", INT, "undecided operations behind it, over all assignments"),
            Column("gb_per_month", REAL, "gigabytes a month; null where nothing says it"),
            Column("records_per_month", INT, "records a month, as in observability_options"),
            Column("is_assumed", BOOL, "nothing at hand says the number of records, so it is assumed"),
            Column("price_per_month", REAL, "price of a month, as in observability_options"),
            Column("chosen", BOOL, "in the best set under --budget; null without a budget"),
            Column("commands", TEXTS, "what to do at this scope, in order"),
            Column("policy_commands", TEXTS, "instead of a setting: the commands that assign built-in policies"),
        ),
        kind="answer",
    ),
    Table(
        "observability_promises",
        "one row a missing thing, assignment and plane: what `logs` promised, to hold against what came",
        (
            key("item", TEXT, "the missing thing"),
            key("promised_on", DAY, "day after the window of the promise"),
            key("role_assignment_id", TEXT, "the assignment or other grant"),
            key("state", TEXT, "its state"),
            key("plane", TEXT, "control, data, graph or directory"),
            Column("excess", INT, "excess that would become decidable at most"),
            Column("undecided", INT, "all undecided excess of the assignment on the plane on that day"),
        ),
        kind="answer",
    ),
)
