"""Make a plan, and work with it: prove, review, deploy and roll out."""
