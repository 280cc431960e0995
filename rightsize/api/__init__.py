"""The Python interface: what `import rightsize` offers, over the same use cases as the command line.

Nothing here judges or computes: a method takes its arguments, calls a workflow, and gives the rows as a frame. Users
take the names from `rightsize` itself, which loads these modules when a name is first used; the modules are private.
"""
