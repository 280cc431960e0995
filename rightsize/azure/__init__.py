"""Azure as a client sees it: clouds, credentials, the guard that lets nothing but questions out, and patience."""
