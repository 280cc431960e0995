"""Edit a team's own Terraform and Bicep so that it grants what a plan says, and prove each edit by reading it back."""
