"""Connect to Azure: endpoints, sign-in, a guard that blocks writes outside a rollout, and rate limits."""
