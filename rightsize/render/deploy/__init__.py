"""A plan in the forms that teams deploy: ARM templates, Bicep, Terraform, and scripts for az and PowerShell."""
