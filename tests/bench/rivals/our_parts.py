"""`rightsize load` by part: the seconds of processor of reading, of merging, and of all else, as JSON."""

import json
import sys
import time
from pathlib import Path

from rightsize.workflow.data import load

taken = {}


def timed(name):
    inner = getattr(load, name)

    def run(*given, **named):
        began = time.process_time()
        try:
            return inner(*given, **named)
        finally:
            taken[name] = time.process_time() - began

    setattr(load, name, run)


timed("stage")
timed("merge")
load.load_paths(Path(sys.argv[2]), [sys.argv[1]])
print(json.dumps(taken | {"rest": time.process_time() - sum(taken.values())}))
