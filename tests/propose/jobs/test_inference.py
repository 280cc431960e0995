"""Changes that the same workers use form groups: support, chance, weights, the mean link, and no matter of order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.propose.change_groups import Group, group_changes
from tests.examples import MANY

BUILD, RESTART = ("deploy", "tag", "write"), ("restart", "start")


def _by_worker(*teams: tuple[int, Iterable[str]]) -> dict[str, set[str]]:
    """Return workers, so many of each team, with the changes that their team uses."""
    whose = [set(changes) for number, changes in teams for _ in range(number)]
    return {f"w{number}": used for number, used in enumerate(whose)}


def _groups(changes_of: Mapping[str, set[str]]) -> list[Group]:
    return group_changes(changes_of)


def test_changes_of_the_same_workers_are_a_group() -> None:
    assert _groups(_by_worker((4, BUILD), (4, RESTART))) == [BUILD, RESTART]


def test_nobody_and_nothing_is_no_error() -> None:
    assert _groups({}) == []
    assert _groups({"idle": set()}) == []


def test_one_worker_alone_links_nothing() -> None:
    """A pair has to be seen with two."""
    one = _by_worker((1, BUILD), (4, RESTART))
    assert _groups(one) == [("deploy",), RESTART, ("tag",), ("write",)]
    assert BUILD in _groups(_by_worker((2, BUILD), (4, RESTART)))


def test_a_quarter_of_the_rarer_changes_use_has_to_be_with_the_other() -> None:
    """Two people use both; whether that links them depends on how many use the rarer one without it."""
    often = _by_worker((2, ("a", "b")), (2, ("a",)), (2, ("b",)), (20, ("c",)))
    rarely = _by_worker((2, ("a", "b")), (9, ("a",)), (9, ("b",)), (60, ("c",)))
    assert _groups(often) == [("a", "b"), ("c",)]
    assert _groups(rarely) == [("a",), ("b",), ("c",)]


def test_what_everybody_uses_joins_no_job() -> None:
    """A deployment is seen with each job as often as chance gives, and so it is a job of its own."""
    teams = [(5, ("deploy", f"{job}1", f"{job}2")) for job in "abcd"]
    assert _groups(_by_worker(*teams)) == [("a1", "a2"), ("b1", "b2"), ("c1", "c2"), ("d1", "d2"), ("deploy",)]


def test_most_of_the_use_of_both_is_no_chance_where_there_are_few_jobs() -> None:
    """In a tenant of one job every pair is as frequent as chance gives."""
    assert _groups(_by_worker((5, BUILD))) == [BUILD]


def test_who_does_everything_joins_nothing() -> None:
    """A worker weighs 1/(number of its changes): two pipelines with all changes leave the jobs apart."""
    jobs = [tuple(f"{job}{number}" for number in range(4)) for job in "abcdef"]
    everything = [one for job in jobs for one in job]
    assert _groups(_by_worker(*((3, job) for job in jobs), (2, everything))) == jobs


def test_two_workers_who_do_two_jobs_join_them_not() -> None:
    both = (*BUILD, *RESTART)
    assert _groups(_by_worker((6, BUILD), (6, RESTART), (2, both), (20, ("other",)))) == [BUILD, ("other",), RESTART]


def test_a_chain_is_no_group() -> None:
    """The mean of all links decides, so that a change joins no group with most of which nobody uses it."""
    chain = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f"), ("f", "g"), ("g", "h")]
    found = _groups(_by_worker(*((3, pair) for pair in chain), (60, ("x",))))
    assert max(len(group) for group in found) <= 4
    assert sorted(one for group in found for one in group) == sorted({one for pair in chain for one in pair} | {"x"})


def _with_a_part(name: str, *others: str) -> list[Group]:
    """Return the groups where two of a team do an own part of a job and one change more, as others do alone."""
    job = [f"web/sites/{number}" for number in range(4)]
    return _groups(_by_worker((3, job), (1, [job[0], name]), (1, [job[1], name]), *((1, [other]) for other in others)))


def test_changes_on_one_type_are_one_job_if_half_of_those_of_the_smaller_part_do_the_other() -> None:
    """Each does a part of the job, so that no pair with the change is seen with two."""
    assert len(_with_a_part("web/sites/5")) == 1
    assert len(_with_a_part("web/sites/5", *["web/sites/5"] * 2)) == 1, "two of four do it, too"
    assert len(_with_a_part("web/sites/5", *["web/sites/5"] * 3)) == 2, "most users of it do nothing of the job"


def test_changes_of_one_provider_are_one_job_if_two_do_both() -> None:
    job = [f"web/sites/{number}" for number in range(4)]
    assert len(_with_a_part("web/plans/5")) == 1
    assert len(_with_a_part("web/plans/5", *["web/plans/5"] * 3)) == 2, "most users of it do nothing of the job"
    assert len(_groups(_by_worker((3, job), (1, [job[0], "web/plans/5"])))) == 2, "one is no pattern"
    assert len(_with_a_part("sql/servers/5")) == 2, "it is another provider"
    deployed = [*job, "microsoft.resources/deployments/write"]
    found = _groups(_by_worker((3, deployed), (1, [job[0], "web/plans/5"]), (1, [job[1], "web/plans/5"])))
    assert found == [tuple(sorted([*deployed, "web/plans/5"]))], "deployments are of no provider"


@pytest.mark.parametrize("others", [0, 40])
def test_who_restarts_machines_does_not_build_them(others: int) -> None:
    """Of six builders two restart as well, of five others nobody builds; who else works there changes nothing."""
    build = ["compute/machines/delete", "compute/machines/write", "compute/machines/extensions"]
    restart = ["compute/machines/restart", "compute/machines/start"]
    disks = (others, ["compute/disks/write", "compute/disks/grant"])
    found = _groups(_by_worker((4, build), (2, [*build, *restart]), (5, restart), disks))
    assert not any({*build} & {*group} and {*restart} & {*group} for group in found)


def test_equally_strong_pairs_join_by_name() -> None:
    """`b` is used with `a` as often as with `c`, and three have too weak a mean link: the first by name wins."""
    found = _groups(_by_worker((2, ("a", "b")), (2, ("b", "c")), (2, ("a",)), (2, ("c",)), (2, ("b",)), (40, ("x",))))
    assert found == [("a", "b"), ("c",), ("x",)]


changes = st.sets(st.sampled_from("abcdefghij"), max_size=6)


@pytest.mark.slow
@given(st.lists(changes, max_size=12).flatmap(lambda used: st.permutations(list(enumerate(used)))))
@MANY
def test_no_order_matters_and_each_change_is_in_one_group(shuffled: list[tuple[int, set[str]]]) -> None:
    """Neither the order of workers nor their names, nor that of changes, decides anything."""
    used = [own for _, own in sorted(shuffled, key=lambda one: one[0])]
    once = {f"w{number}": own for number, own in enumerate(used)}
    again = {f"x{97 * number % 89}-{number}": set(own) for number, own in shuffled}
    found = _groups(once)
    assert found == _groups(again)
    assert sorted(one for group in found for one in group) == sorted(set().union(*used) if used else set())
    assert found == sorted(tuple(sorted(group)) for group in found)


@given(st.lists(changes, max_size=10))
@MANY
def test_a_group_of_two_was_used_together_by_two(used: list[set[str]]) -> None:
    for group in _groups({f"w{number}": own for number, own in enumerate(used)}):
        for one in group if len(group) > 1 else ():
            beside = [own for own in used if one in own and len(own & set(group)) > 1]
            assert len(beside) > 1
