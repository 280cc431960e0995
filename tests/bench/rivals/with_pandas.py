"""The second approach of most people: a frame of all records, columns from nested fields, a group-by."""

import sys

import pandas as pd

OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"

frames = []
for chunk in pd.read_json(sys.argv[1], lines=True, chunksize=50_000, compression="gzip", convert_dates=False):
    chunk["principal"] = [identity["claims"].get(OID) for identity in chunk["identity"]]
    chunk["operation"] = [identity["authorization"]["action"].lower() for identity in chunk["identity"]]
    chunk["scope"] = chunk["resourceId"].str.lower()
    chunk["day"] = chunk["time"].str[:10]
    frames.append(chunk.groupby(["principal", "operation", "scope", "day"], dropna=False).size())
print(len(pd.concat(frames).groupby(level=[0, 1, 2, 3], dropna=False).sum()))
