"""The jobs of the tenant: what their holders share, and what one of them does alone."""

from rightsize.model.schema import Column, ColumnType, Table, key

DONE_BY = ("all", "most", "few")
"""How many of the holders of a job use an operation; most are at least half."""
TEXT, TEXTS, BOOL, INT, REAL = ColumnType.TEXT, ColumnType.TEXTS, ColumnType.BOOL, ColumnType.INT, ColumnType.REAL

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
