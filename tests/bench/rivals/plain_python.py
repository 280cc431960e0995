"""The first approach of most people: a loop over lines, and a dictionary of the use."""

import gzip
import json
import sys
from collections import Counter

OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"

used: Counter = Counter()
with gzip.open(sys.argv[1], "rt", encoding="utf-8") as lines:
    for line in lines:
        record = json.loads(line)
        identity = record["identity"]
        used[
            identity["claims"].get(OID),
            identity["authorization"]["action"].lower(),
            record["resourceId"].lower(),
            record["time"][:10],
        ] += 1
print(len(used))
