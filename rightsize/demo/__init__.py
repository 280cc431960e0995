"""The one generator of tenants: for the demo, tests and benchmarks, at any size, with planted truth."""
