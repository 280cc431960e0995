"""Wait once for all swaps until Azure has spread the new assignments, and resume that wait from the journal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from rightsize.rollout.bundle import Swap
from rightsize.rollout.steps import Steps


def wait_for(steps: Steps, swaps: Iterable[Swap], event: str, seconds: Callable[[Swap], int]) -> None:
    """Wait until every swap has waited long enough; a resumed run waits only the rest.

    Args:
        steps: The rollout.
        swaps: The swaps.
        event: The kind of journal entry that holds the end of the wait, written before the wait begins.
        seconds: Returns the seconds that a swap waits.
    """
    until = None
    for swap in swaps:
        if not steps.has(swap, event, swap.id):
            moment = steps.clock.utc() + dt.timedelta(seconds=seconds(swap))
            steps.write(swap, event, swap.id, {"until": moment.isoformat()})
        entry = steps.latest(swap, event)[-1]
        until = max(filter(None, (until, dt.datetime.fromisoformat(entry.data["until"]))))
    if until is not None and (left := (until - steps.clock.utc()).total_seconds()) > 0:
        steps.report_progress(f"waiting {left:,.0f} s until the changes reach all of Azure")
        steps.clock.sleep(left)
