"""Read the role definitions of Terraform, Bicep and ARM files, as far as the files themselves decide them."""
