"""Answer questions about a store to a model, read-only, over the Model Context Protocol on stdin and stdout.

`questions` asks the workflows and makes what they say safe and bounded, `shapes` declares the forms of answers, and
`server` offers them as tools with the official SDK. Only `server` imports the SDK, which the extra `mcp` installs.
"""
