"""Write a plan in the forms that teams deploy: ARM templates, Bicep, Terraform, az and PowerShell scripts."""
