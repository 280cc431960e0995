"""The directory's own roles: what they allow, what the audit log shows of it, and what that leaves unused."""
