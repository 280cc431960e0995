"""The third approach of most people: polars scans the lines lazily, with the types of the nested fields declared."""

import sys

import polars as pl

OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
text = pl.String
fields = {
    "time": text,
    "resourceId": text,
    "identity": pl.Struct({"claims": pl.Struct({OID: text}), "authorization": pl.Struct({"action": text})}),
}
identity = pl.col("identity")
used = (
    pl.scan_ndjson(sys.argv[1], schema=fields)
    .group_by(
        identity.struct["claims"].struct[OID],
        identity.struct["authorization"].struct["action"].str.to_lowercase(),
        pl.col("resourceId").str.to_lowercase(),
        pl.col("time").str.slice(0, 10),
    )
    .len()
    .collect()
)
print(used.height)
